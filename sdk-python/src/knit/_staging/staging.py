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

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, wait
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from knit._cluster.hdfs.file_system import FileSystem
from knit._staging.directory import StagingDirectory
from knit._staging.records import Records
from knit._staging.uploads import Counter, Staged, Uploads
from knit._staging.values import LocalResource, ProgressCallback, StagedFile
from knit._values.giving_up import Threads

if TYPE_CHECKING:
    from knit._cluster.cluster import Cluster, Place

#: Each waits for three answers of the NameNode and one of a DataNode, one after the other.
_PARALLEL_UPLOADS = 8


class Staging:
    """
    Brings files to the user's directory `.knit` on the cluster. Threads may share it.

    Args:
        files: The cluster's file system.
        default_fs: Its address, `hdfs://…`, for the URLs that nodes are given.
        resource_manager: Which one applications are submitted to; see
            `ClusterConfig.resource_manager_name`.
        locate: Finds what is on the cluster already; see `Cluster.files_of`.
        parallel_uploads: How many files are on their way at once, at most.
    """

    def __init__(
        self,
        files: FileSystem,
        default_fs: str,
        *,
        resource_manager: str | None = None,
        locate: Callable[[str], Place],
        parallel_uploads: int = _PARALLEL_UPLOADS,
    ) -> None:
        self.directory = StagingDirectory(files, default_fs)
        self.records = Records(self.directory, resource_manager)
        self._uploads = Uploads(self.directory, locate)
        self._parallel_uploads = parallel_uploads

    @classmethod
    def on(cls, cluster: Cluster) -> Staging:
        """That of the cluster's user on its file system."""
        return cls(
            cluster.files,
            cluster.config.default_fs,
            resource_manager=cluster.config.resource_manager_name,
            locate=cluster.files_of,
        )

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
            GivenUpError: Nobody waits for it any more.
        """
        counter = Counter(progress)
        sources = list(dict.fromkeys(request.source for request in requests))
        if not sources:
            return []

        shown = {request.source: request.shown for request in requests}

        def one(source: Path | str) -> Staged:
            if isinstance(source, Path):
                name = shown[source] or str(source)
                return self._uploads.bring(source, name, counter, before_upload)
            return self._uploads.found(source)

        workers = min(self._parallel_uploads, len(sources))
        with Threads(workers, "knit-staging") as threads:
            futures = {source: threads.submit(partial(one, source)) for source in sources}
            done, _ = wait(futures.values(), return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
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
