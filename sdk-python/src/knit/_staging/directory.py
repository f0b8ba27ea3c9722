"""The directory `.knit` itself: where it is, who may see it, and by whose clock it ages."""

from __future__ import annotations

import contextlib
import secrets
from datetime import timedelta
from urllib.parse import quote

from knit._cluster.hdfs.file_system import FileSystem
from knit._cluster.hdfs.statuses import FileStatus
from knit.exceptions import ClusterError, ClusterFileNotFoundError, ClusterResponseError

DIRECTORY_PERMISSION = "700"
FILE_PERMISSION = "600"


class StagingDirectory:
    """
    A user's directory `.knit` on the cluster. Threads may share it.

    Args:
        files: The cluster's file system.
        default_fs: Its address, `hdfs://…`, for the URLs that nodes are given.
    """

    def __init__(self, files: FileSystem, default_fs: str) -> None:
        self.files = files
        self.default_fs = default_fs.rstrip("/")
        # Both are written without a lock, which a fork might find held: what they hold is asked
        # for once more at worst.
        self._root_path: str | None = None
        self._prepared = False

    @property
    def root(self) -> str:
        """The path of `.knit`. The first use asks the cluster for the home directory."""
        return self._root_within(None)

    def _root_within(self, timeout: timedelta | None) -> str:
        if self._root_path is None:
            home = self.files.home_directory(timeout=timeout)
            self._root_path = f"{home.rstrip('/')}/.knit"
        return self._root_path

    def url(self, path: str) -> str:
        """A path as a URL for nodes."""
        return self.default_fs + quote(path)

    def of_application(self, application_id: str, timeout: timedelta | None = None) -> str:
        """The path of one application's own directory."""
        return f"{self._root_within(timeout)}/applications/{application_id}"

    def url_of_application(self, application_id: str) -> str:
        """The same as a URL for nodes."""
        return self.url(self.of_application(application_id))

    def prepare(self) -> None:
        """Makes the directories, each with its own permission: parents would not get it."""
        if not self._prepared:
            for path in (self.root, f"{self.root}/cache", f"{self.root}/applications"):
                if self.files.find(path) is None:
                    self.files.make_directories(path, permission=DIRECTORY_PERMISSION)
            self._prepared = True

    def entries(self, directory: str) -> list[FileStatus]:
        """What lies in one of the directories of `.knit`."""
        try:
            return self.files.list_directory(f"{self.root}/{directory}")
        except ClusterFileNotFoundError:
            return []

    def probe(self) -> None:
        """
        Writes a small file, reads it back and deletes it.

        Raises:
            ClusterError: That does not work.
        """
        self.prepare()
        content = secrets.token_bytes(16)
        path = f"{self.root}/cache/.probe.{secrets.token_hex(8)}.part"
        try:
            self.files.create(path, content, permission=FILE_PERMISSION)
            if self.files.read(path) != content:
                raise ClusterResponseError(
                    f"Staging: {path} reads back as something else than was written. Look at the "
                    "DataNodes' logs, and at any gateway in between."
                )
        finally:
            with contextlib.suppress(ClusterError):
                self.files.delete(path)

    def now_ms(self) -> int:
        """Milliseconds since 1970 by the file system's clock: this machine's may be days off."""
        return int(self.files.now().timestamp() * 1000)

    def is_within(self, interval: timedelta, time_ms: int) -> bool:
        """Whether a time is not so long ago, by the file system's clock."""
        return self.now_ms() - time_ms < interval / timedelta(milliseconds=1)
