"""Files of the cluster, as the readers of the formats want them."""

from __future__ import annotations

from collections.abc import Iterator

from knit._cluster.hdfs.file_system import FileSystem
from knit._cluster.hdfs.statuses import FileStatus

_TAIL_BYTES = 32 * 1024
"""The end of a file, where the indexes are, is fetched at once; a small file altogether."""


class RemoteFile:
    """A file behind WebHDFS, as long as it was when it was listed."""

    def __init__(self, files: FileSystem, status: FileStatus) -> None:
        self._files = files
        self.path = status.path
        self.size_bytes = status.size_bytes
        self._tail: bytes | None = None

    def stream(self, offset_bytes: int, length_bytes: int) -> Iterator[bytes]:
        """A part of it, as it arrives."""
        start = max(0, self.size_bytes - _TAIL_BYTES)
        if offset_bytes < start:
            return self._files.stream(
                self.path, offset_bytes=offset_bytes, length_bytes=length_bytes
            )
        if self._tail is None:
            length = self.size_bytes - start
            whole = self._files.stream(self.path, offset_bytes=start, length_bytes=length)
            self._tail = b"".join(whole)
        begin = offset_bytes - start
        return iter((self._tail[begin : begin + length_bytes],))

    def read(self, offset_bytes: int, length_bytes: int) -> bytes:
        """A small part of it."""
        return b"".join(self.stream(offset_bytes, length_bytes))
