"""
Where YARN puts the logs of an application: below `yarn.nodemanager.remote-app-log-dir`, in

* `USER/SUFFIX/APPLICATION`, before Hadoop 3.3, or
* `USER/bucket-SUFFIX/NNNN/APPLICATION`, since; NNNN are the last digits of its number.

The suffix is `logs` before Hadoop 3.3, and since then also names the format: `logs-tfile`. The
nodes' configuration decides, not the client's, so all there is to be found is looked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from knit._cluster.configuration.addresses import is_on
from knit._cluster.configuration.config import ClusterConfig
from knit._cluster.hdfs.file_system import FileSystem
from knit._cluster.hdfs.statuses import FileStatus
from knit.exceptions import (
    AccessDeniedError,
    ClusterError,
    ClusterFileNotFoundError,
    LogsNotFoundError,
)

ROOT_PROPERTY = "yarn.nodemanager.remote-app-log-dir"
_SUFFIX_PROPERTY = "yarn.nodemanager.remote-app-log-dir-suffix"
_FORMATS_PROPERTY = "yarn.log-aggregation.file-formats"
_DEFAULT_ROOT = "/tmp/logs"  # noqa: S108  (in HDFS)
_DEFAULT_SUFFIX = "logs"
_BUCKET = "bucket-"
_BUCKETS = 10_000

AskResourceManager = Callable[[str], str | None]
"""What the ResourceManager's own configuration has for a property."""


class LogDirectories:
    """
    Finds the directories of one application's logs.

    Args:
        files: The file system.
        config: The client's configuration.
        ask: The ResourceManager's, which is looked at where the client's leads nowhere.
    """

    def __init__(self, files: FileSystem, config: ClusterConfig, ask: AskResourceManager) -> None:
        self._files = files
        self._config = config
        self._ask = ask

    def list_files(self, application_id: str, user: str) -> list[FileStatus]:
        """
        The files of all directories of this application; empty if there are none.

        Raises:
            AccessDeniedError: They, or where they should be, may not be looked at.
            LogsNotFoundError: They are kept where WebHDFS does not lead.
        """
        denied: AccessDeniedError | None = None
        for get in (self._config.get, self._ask):
            found: list[FileStatus] = []
            for root in self._roots(get):
                for directory in self._candidates(root, application_id, user):
                    try:
                        found += self._list(directory)
                    except AccessDeniedError as error:  # noqa: PERF203
                        denied = denied or error
            if found:
                return found
        if denied is not None:
            raise AccessDeniedError(
                f"The logs of {application_id} may not be read by {self._files.user}: they belong "
                f"to {user} ({denied.message}). Read them as {user} "
                "(HADOOP_USER_NAME; with Kerberos --user, where you may act for others), or have "
                "the cluster's administrators let you.",
                url=denied.url,
                status=denied.status,
            ) from denied
        return []

    def where(self) -> str:
        """Where it looks, for messages."""
        roots = dict.fromkeys((*self._roots(self._config.get), *self._roots(self._ask)))
        return " and ".join(roots)

    def _roots(self, get: Callable[[str], str | None]) -> list[str]:
        """Each format may have a root of its own."""
        names = [part.strip() for part in (get(_FORMATS_PROPERTY) or "").split(",")]
        own = [get(f"yarn.log-aggregation.{name}.remote-app-log-dir") for name in names if name]
        values = [value for value in own if value] + [get(ROOT_PROPERTY) or _DEFAULT_ROOT]
        return list(dict.fromkeys(self._path(value) for value in values))

    def _path(self, value: str) -> str:
        if not is_on(self._config.default_fs, value):
            raise LogsNotFoundError(
                f"The aggregated logs are kept in {value} ({ROOT_PROPERTY}), and knit reads those "
                f"on {self._config.default_fs} only. Read them with the cluster's own `yarn logs`."
            )
        return urlsplit(value).path.rstrip("/")

    def _candidates(self, root: str, application_id: str, user: str) -> Iterator[str]:
        home = f"{root}/{user}"
        number = int(application_id.rpartition("_")[2])
        yield f"{home}/{application_id}"
        for name in self._suffix_directories(home):
            if name.startswith(_BUCKET):
                yield f"{home}/{name}/{number % _BUCKETS:04d}/{application_id}"
            else:
                yield f"{home}/{name}/{application_id}"

    def _list(self, path: str) -> list[FileStatus]:
        try:
            return self._files.list_directory(path)
        except ClusterFileNotFoundError:
            return []

    def _suffix_directories(self, home: str) -> list[str]:
        try:
            entries = self._list(home)
        except AccessDeniedError:
            # What lies below may be open all the same to who knows its name.
            return self._usual_names()
        return [
            entry.name
            for entry in entries
            if entry.is_directory and not re.fullmatch(r"application_\d+_\d+", entry.name)
        ]

    def _usual_names(self) -> list[str]:
        suffix = self._config.get(_SUFFIX_PROPERTY) or _DEFAULT_SUFFIX
        formats = self._config.get_list(_FORMATS_PROPERTY) or ["TFile", "IFile"]
        suffixes = [suffix]
        for name in formats:
            own = self._config.get(f"yarn.log-aggregation.{name}.remote-app-log-dir-suffix")
            suffixes.append(own or f"{suffix}-{name.lower()}")
        return [prefix + each for each in dict.fromkeys(suffixes) for prefix in (_BUCKET, "")]


def quietly(ask: AskResourceManager) -> AskResourceManager:
    """The same, but an RM that does not answer, or does not tell, knows nothing."""
    answers: dict[str, str | None] = {}

    def asked(name: str) -> str | None:
        if name not in answers:
            try:
                answers[name] = ask(name)
            except ClusterError:
                answers[name] = None
        return answers[name]

    return asked
