"""
Files on their way to the cluster.

All of it lies below the user's home directory on HDFS, and only the user can read it:

* `.knit/cache/<sha256><extension>`: contents, named by what they are, so that each travels once.
* `.knit/cache/<entry>.used`: when an entry was used last, on clusters that record no access times.
* `.knit/applications/<application_id>/application.json`: which of them an application uses, which
  ResourceManager knows it, and the keys to talk to it.
* `.knit/swept`: when all this was looked through last, for what nobody needs any more.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from datetime import timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal
from urllib.parse import quote, unquote, urlsplit

import attrs

from knit._cluster.configuration.addresses import is_on
from knit._cluster.hdfs.statuses import FileStatus
from knit._cluster.hdfs.webhdfs import WebHdfs
from knit._values.deadlines import Deadline
from knit._values.paths import reason
from knit.exceptions import (
    ApplicationNotFoundError,
    ClusterError,
    ClusterFileNotFoundError,
    ClusterResponseError,
    FileMissingError,
    SpecError,
)

if TYPE_CHECKING:
    from knit._cluster.cluster import Cluster

LocalResourceType = Literal["FILE", "ARCHIVE"]
LocalResourceVisibility = Literal["PRIVATE", "APPLICATION", "PUBLIC"]

USE_MARK = ".used"
"""What the name of the file ends in whose time is that of an entry's last use."""
#: A DataNode makes the file on its own time: it may do so after the client broke off.
_LATE_CREATION = timedelta(seconds=2)
_DISCARD_INTERVAL = timedelta(milliseconds=100)
#: A use within this time of the last one is not noted again.
_TOUCH_INTERVAL = timedelta(hours=1)
#: Each waits for three answers of the NameNode and one of a DataNode, one after the other.
_PARALLEL_UPLOADS = 8
_HASH_BLOCK_BYTES = 1 << 20
_DIRECTORY_PERMISSION = "700"
_FILE_PERMISSION = "600"
# YARN unpacks by the end of the URL, so these are kept; of two parts where it takes two.
_ARCHIVE_EXTENSIONS = (".tar.gz", ".tgz", ".tar", ".zip", ".jar")


@attrs.frozen(kw_only=True)
class StagedFile:
    """A file that containers are to find, wherever it is now."""

    source: Path | str
    """A path of this machine, or the URL of a file on the cluster, which is used in place."""
    archive: bool = False
    """Whether the node unpacks it."""
    visibility: LocalResourceVisibility = "PRIVATE"
    """Who shares the node's copy."""
    shown: str | None = None
    """What to call it in reports, where `source` was only made to be sent."""


@attrs.frozen(kw_only=True)
class LocalResource:
    """What YARN has to know of a file to bring it to a node."""

    url: str
    size_bytes: int
    modify_time_ms: int
    """Milliseconds since 1970. YARN refuses the file if it differs by one."""
    type: LocalResourceType = "FILE"
    visibility: LocalResourceVisibility = "PRIVATE"

    @property
    def name(self) -> str:
        """The last part of the URL; in the cache, the name of the entry."""
        return unquote(urlsplit(self.url).path).rpartition("/")[2]


@attrs.frozen(kw_only=True)
class StagingProgress:
    """How far the uploads are."""

    file: str
    """What this report is about: a path of this machine."""
    sent_bytes: int
    """Of all files so far."""
    total_bytes: int
    """Of all files that have to be sent and are known by now; it grows while files are hashed."""
    cached: bool
    """Whether this file was on the cluster already."""


@attrs.frozen
class _Staged:
    url: str
    size_bytes: int
    modify_time_ms: int


ProgressCallback = Callable[[StagingProgress], None]
"""Called from several threads, one at a time."""


@attrs.frozen(kw_only=True)
class ConnectionKeys:
    """PEM texts with which a client of an application proves that it is one."""

    ca: str
    client_cert: str
    client_key: str = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class StoredApplication:
    """What `application.json` holds."""

    cache: tuple[str, ...]
    """Names of the entries in the cache that the application uses."""
    keys: ConnectionKeys | None
    resource_manager: str | None = None
    """Which ResourceManager knows it; None where an older version of knit submitted it."""


class Staging:
    """
    The user's directory `.knit` on the cluster. Threads may share it.

    Args:
        files: The cluster's file system.
        default_fs: Its address, `hdfs://…`, for the URLs that nodes are given.
        resource_manager: Which one applications are submitted to; see
            `ClusterConfig.resource_manager_name`.
        parallel_uploads: How many files are on their way at once, at most.
    """

    def __init__(
        self,
        files: WebHdfs,
        default_fs: str,
        *,
        resource_manager: str | None = None,
        parallel_uploads: int = _PARALLEL_UPLOADS,
    ) -> None:
        self._files = files
        self._default_fs = default_fs.rstrip("/")
        self.resource_manager = resource_manager
        self._parallel_uploads = parallel_uploads
        # Both are written without a lock, which a fork might find held: what they hold is asked
        # for once more at worst.
        self._root_path: str | None = None
        self._prepared = False

    @classmethod
    def on(cls, cluster: Cluster) -> Staging:
        """That of the cluster's user on its file system."""
        return cls(
            cluster.files,
            cluster.config.default_fs,
            resource_manager=cluster.config.resource_manager_name,
        )

    @property
    def root(self) -> str:
        """The path of `.knit`. The first use asks the cluster for the home directory."""
        return self._root_within(None)

    def _root_within(self, timeout: timedelta | None) -> str:
        if self._root_path is None:
            home = self._files.home_directory(timeout=timeout)
            self._root_path = f"{home.rstrip('/')}/.knit"
        return self._root_path

    @property
    def user(self) -> str:
        """Whose directory it is."""
        return self._files.user

    def url_of(self, application_id: str) -> str:
        """The staging directory of one application, as a URL for nodes."""
        return self._url(self._directory_of(application_id))

    def _url(self, path: str) -> str:
        return self._default_fs + quote(path)

    def _directory_of(self, application_id: str, timeout: timedelta | None = None) -> str:
        return f"{self._root_within(timeout)}/applications/{application_id}"

    def stage(
        self,
        requests: Sequence[StagedFile],
        progress: ProgressCallback | None = None,
        *,
        before_upload: Callable[[], None] = lambda: None,
    ) -> list[LocalResource]:
        """
        Brings what is not there yet to the cluster.

        A file that is asked for twice travels once. What fails takes its unfinished upload with
        it; finished ones stay in the cache, for the next try.

        Args:
            requests: The files.
            progress: Told of each file and, as it leaves, of its bytes.
            before_upload: Called before each file that is not there yet is sent; what it raises
                ends the staging. Meanwhile files are read and looked for.

        Returns:
            What YARN has to know of each, in the order of `requests`.

        Raises:
            FileMissingError: One does not exist, here or on the cluster.
            SpecError: One cannot be read, or changed while it was sent.
            ClusterError: The cluster did not take it.
        """
        counter = _Counter(progress)
        sources = list(dict.fromkeys(request.source for request in requests))
        if not sources:
            return []

        shown = {request.source: request.shown for request in requests}

        def one(source: Path | str) -> _Staged:
            if isinstance(source, Path):
                name = shown[source] or str(source)
                return self._stage_local(source, name, counter, before_upload)
            return self._stage_in_place(source)

        workers = min(self._parallel_uploads, len(sources))
        with ThreadPoolExecutor(workers, thread_name_prefix="knit-staging") as pool:
            futures = {source: pool.submit(one, source) for source in sources}
            try:
                done, _ = wait(futures.values(), return_when=FIRST_EXCEPTION)
                for future in done:
                    future.result()
            except BaseException:
                counter.stop()
                for future in futures.values():
                    future.cancel()
                raise
        staged = {source: future.result() for source, future in futures.items()}
        return [
            LocalResource(
                url=staged[request.source].url,
                size_bytes=staged[request.source].size_bytes,
                modify_time_ms=staged[request.source].modify_time_ms,
                type="ARCHIVE" if request.archive else "FILE",
                visibility=request.visibility,
            )
            for request in requests
        ]

    def _stage_local(
        self, path: Path, shown: str, counter: _Counter, before_upload: Callable[[], None]
    ) -> _Staged:
        digest, size_bytes = _digest(path, counter)
        name = digest + _extension(path.name)
        target = f"{self.root}/cache/{name}"
        found = self._files.find(target)
        if found is not None and found.size_bytes == size_bytes:
            self._touch(found)
            counter.cached(shown)
        else:
            counter.expect(size_bytes)
            before_upload()
            found = self._upload(path, shown, target, digest, size_bytes, counter)
        return _Staged(self._url(target), found.size_bytes, found.modify_time_ms)

    def _upload(
        self,
        path: Path,
        shown: str,
        target: str,
        digest: str,
        size_bytes: int,
        counter: _Counter,
    ) -> FileStatus:
        self._prepare()
        directory, _, name = target.rpartition("/")
        part = f"{directory}/.{name}.{secrets.token_hex(8)}.part"
        try:
            with _opened(path) as file:
                reader = _HashingReader(file, path)
                self._files.create(
                    part,
                    reader,
                    size_bytes=size_bytes,
                    permission=_FILE_PERMISSION,
                    progress=lambda count: counter.sent(shown, count),
                )
            if reader.digest.hexdigest() != digest:
                raise _changed(path)
            found = self._move(part, target, size_bytes)
        except BaseException as error:
            with contextlib.suppress(ClusterError):
                self._discard(part, answered=getattr(error, "status", None) is not None)
            raise
        return found

    def _discard(self, part: str, *, answered: bool) -> None:
        """Removes an upload that broke, also one that its DataNode has yet to make a file of."""
        give_up = time.monotonic() + _LATE_CREATION / timedelta(seconds=1)
        while not self._files.delete(part) and not answered and time.monotonic() < give_up:
            time.sleep(_DISCARD_INTERVAL / timedelta(seconds=1))

    def _move(self, part: str, target: str, size_bytes: int) -> FileStatus:
        """Renames an upload to its final name, unless somebody else was quicker."""
        for _ in range(2):
            if self._files.rename(part, target):
                return self._files.status(target)
            there = self._files.find(target)
            if there is not None and there.size_bytes == size_bytes:
                # Another client, or our own first try after a broken connection.
                self._files.delete(part)
                return there
            if there is not None:
                self._files.delete(target)
        raise ClusterResponseError(
            f"Staging {target}: the file system would neither take the name nor say what holds "
            "it. Try again."
        )

    def _prepare(self) -> None:
        """Makes the directories, each with its own permission: parents would not get it."""
        if not self._prepared:
            for path in (self.root, f"{self.root}/cache", f"{self.root}/applications"):
                if self._files.find(path) is None:
                    self._files.make_directories(path, permission=_DIRECTORY_PERMISSION)
            self._prepared = True

    def _touch(self, status: FileStatus) -> None:
        """Notes the use, for the sweep. Never the modification time: YARN compares that."""
        if self._is_within(_TOUCH_INTERVAL, max(status.access_time_ms, status.modify_time_ms)):
            return
        try:
            self._files.set_times(status.path, access_time_ms=self.now_ms())
        except ClusterResponseError:
            # The cluster was told not to record access times, so a file's own time has to do.
            mark = status.path + USE_MARK
            marked = self._files.find(mark)
            if marked is None or not self._is_within(_TOUCH_INTERVAL, marked.modify_time_ms):
                self._files.create(mark, b"", permission=_FILE_PERMISSION, overwrite=True)

    def _stage_in_place(self, url: str) -> _Staged:
        if not is_on(self._default_fs, url):
            raise SpecError(
                f"The file {url} is not on this cluster's file system, {self._default_fs}, so its "
                "size and time cannot be known. Copy it there, or give a local path."
            )
        path = unquote(urlsplit(url).path)
        try:
            status = self._files.status(path)
        except ClusterFileNotFoundError as error:
            raise FileMissingError(
                f"The file {url} does not exist on the cluster. Check its path."
            ) from error
        if status.is_directory:
            raise SpecError(f"{url} is a directory. Name a file; an archive can hold several.")
        return _Staged(self._url(path), status.size_bytes, status.modify_time_ms)

    def probe(self) -> None:
        """
        Writes a small file, reads it back and deletes it.

        Raises:
            ClusterError: That does not work.
        """
        self._prepare()
        content = secrets.token_bytes(16)
        path = f"{self.root}/cache/.probe.{secrets.token_hex(8)}.part"
        try:
            self._files.create(path, content, permission=_FILE_PERMISSION)
            if self._files.read(path) != content:
                raise ClusterResponseError(
                    f"Staging: {path} reads back as something else than was written. Look at the "
                    "DataNodes' logs, and at any gateway in between."
                )
        finally:
            with contextlib.suppress(ClusterError):
                self._files.delete(path)

    def register(
        self, application_id: str, resources: Iterable[LocalResource], keys: ConnectionKeys | None
    ) -> None:
        """Writes down what an application uses and how to talk to it, for its user's eyes only."""
        self._prepare()
        cache = self._url(f"{self.root}/cache/")
        content: dict[str, object] = {
            "version": 1,
            "cache": sorted({r.name for r in resources if r.url.startswith(cache)}),
            "tls": None if keys is None else attrs.asdict(keys),
        }
        if self.resource_manager is not None:
            content["resource_manager"] = self.resource_manager
        self._files.create(
            f"{self._directory_of(application_id)}/application.json",
            json.dumps(content).encode(),
            permission=_FILE_PERMISSION,
            overwrite=True,
        )

    def read(self, application_id: str, *, timeout: timedelta | None = None) -> StoredApplication:
        """
        What was written down for an application of this user.

        Raises:
            ApplicationNotFoundError: Nothing: it has ended, or is somebody else's.
        """
        deadline = Deadline.of(timeout, default=self._files.timeout)
        path = f"{self._directory_of(application_id, deadline.remaining)}/application.json"
        try:
            data = json.loads(self._files.read(path, timeout=deadline.remaining))
        except ClusterFileNotFoundError as error:
            raise ApplicationNotFoundError(
                f"There is nothing at {path} to talk to {application_id} with. It has ended and "
                "cleaned up, or another user submitted it, or it is not an application of knit."
            ) from error
        except ValueError as error:
            raise ClusterResponseError(f"{path} on the cluster is not JSON: {error}.") from error
        return _stored(data, path)

    def read_address(self, application_id: str, *, timeout: timedelta | None = None) -> str | None:
        """`host:port` as the Application Master left it where YARN cannot say; None if not."""
        deadline = Deadline.of(timeout, default=self._files.timeout)
        try:
            directory = self._directory_of(application_id, deadline.remaining)
            content = self._files.read(f"{directory}/address", timeout=deadline.remaining)
        except ClusterFileNotFoundError:
            return None
        return content.decode("utf-8", "replace").strip() or None

    def remove(self, application_id: str, *, timeout: timedelta | None = None) -> None:
        """Removes an application's own directory. Calling it again is safe."""
        deadline = Deadline.of(timeout, default=self._files.timeout)
        path = self._directory_of(application_id, deadline.remaining)
        self._files.delete(path, recursive=True, timeout=deadline.remaining)

    def renew(self, application_id: str) -> None:
        """Gives an application's directory the time of now, by changing what is in it."""
        mark = f"{self._directory_of(application_id)}/.alive"
        if not self._files.delete(mark):
            self._files.make_directories(mark, permission=_DIRECTORY_PERMISSION)

    def claim_sweep(self, interval: timedelta) -> bool:
        """Whether the last sweep, by whatever client, is so long ago; then this one counts."""
        mark = f"{self.root}/swept"
        last = self._files.find(mark)
        if last is not None and self._is_within(interval, last.modify_time_ms):
            return False
        self._files.create(mark, b"", permission=_FILE_PERMISSION, overwrite=True)
        return True

    def entries(self, directory: str) -> list[FileStatus]:
        """What lies in one of the directories of `.knit`."""
        try:
            return self._files.list_directory(f"{self.root}/{directory}")
        except ClusterFileNotFoundError:
            return []

    def find_in_cache(self, *names: str) -> dict[str, FileStatus]:
        """Those of these entries that are there."""
        found = {name: self._files.find(f"{self.root}/cache/{name}") for name in names}
        return {name: status for name, status in found.items() if status is not None}

    def discard(self, path: str) -> bool:
        """Deletes an entry of the cache. False if there was none."""
        return self._files.delete(path)

    def now_ms(self) -> int:
        """Milliseconds since 1970 by the file system's clock: this machine's may be days off."""
        return int(self._files.daemon.now().timestamp() * 1000)

    def _is_within(self, interval: timedelta, time_ms: int) -> bool:
        return self.now_ms() - time_ms < interval / timedelta(milliseconds=1)


class _StoppedError(Exception):
    """Another file failed, so this one need not go on."""


class _Counter:
    """Adds up what the uploads report and passes it on, one report at a time."""

    def __init__(self, callback: ProgressCallback | None) -> None:
        self._callback = callback
        self._lock = threading.Lock()
        self._sent_bytes = 0
        self._total_bytes = 0
        self._stopped = False

    def stop(self) -> None:
        self._stopped = True

    def check(self) -> None:
        if self._stopped:
            raise _StoppedError

    def expect(self, size_bytes: int) -> None:
        with self._lock:
            self._total_bytes += size_bytes

    def cached(self, shown: str) -> None:
        self._report(shown, 0, cached=True)

    def sent(self, shown: str, count: int) -> None:
        self.check()
        self._report(shown, count, cached=False)

    def _report(self, shown: str, count: int, *, cached: bool) -> None:
        with self._lock:
            self._sent_bytes += count
            if self._callback is not None:
                self._callback(
                    StagingProgress(
                        file=shown,
                        sent_bytes=self._sent_bytes,
                        total_bytes=self._total_bytes,
                        cached=cached,
                    )
                )


def _digest(path: Path, counter: _Counter) -> tuple[str, int]:
    """The file's SHA-256 and size. Read anew each time: that costs a second for a gigabyte."""
    digest = hashlib.sha256()
    size_bytes = 0
    with _opened(path) as file:
        while block := _read(file, _HASH_BLOCK_BYTES, path):
            counter.check()
            digest.update(block)
            size_bytes += len(block)
    return digest.hexdigest(), size_bytes


def _opened(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except FileNotFoundError as error:
        raise FileMissingError(f"The file {path} does not exist on this machine.") from error
    except OSError as error:
        raise _unreadable(path, error) from error


def _read(file: IO[bytes], size: int, path: Path) -> bytes:
    try:
        return file.read(size)
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> SpecError:
    return SpecError(
        f"The file {path} cannot be read ({reason(error)}). "
        "Check its permissions, and that it is a file."
    )


def _changed(path: Path) -> SpecError:
    return SpecError(
        f"The file {path} changed while it was sent to the cluster. "
        "Submit again when nothing writes to it any more."
    )


class _HashingReader:
    """A file whose digest is taken once more as it is sent. It is not read beyond what is sent."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self._file = file
        self._path = path
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = _read(self._file, size, self._path)
        if not data:
            raise _changed(self._path)
        self.digest.update(data)
        return data


def _extension(name: str) -> str:
    """What the name ends in, as far as it is of use and safe in a URL."""
    lower = name.lower()
    suffix = Path(lower).suffix
    plain = suffix if re.fullmatch(r"\.[a-z0-9]{1,10}", suffix) else ""
    return next((known for known in _ARCHIVE_EXTENSIONS if lower.endswith(known)), plain)


def _stored(data: Mapping[str, Any], path: str) -> StoredApplication:
    try:
        tls = data["tls"]
        return StoredApplication(
            cache=tuple(map(str, data["cache"])),
            keys=None
            if tls is None
            else ConnectionKeys(
                ca=str(tls["ca"]),
                client_cert=str(tls["client_cert"]),
                client_key=str(tls["client_key"]),
            ),
            resource_manager=data.get("resource_manager"),
        )
    except (KeyError, TypeError) as error:
        raise ClusterResponseError(
            f"{path} on the cluster was written by another version of knit: it lacks {error}. "
            "Use that version for this application."
        ) from error
