"""Writes archives that are the same bytes whenever what they hold is the same."""

from __future__ import annotations

import io
import os
import tarfile
import zlib
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO, cast

from knit._environments.packing.compiled import unchecked
from knit._environments.packing.entries import Entry
from knit.exceptions import PythonEnvironmentError

TIME = 315_532_800
"""Of every file: 1 January 1980, the earliest that all formats can tell."""

_CHUNK_BYTES = 1 << 20
_LEVEL = 1
"""Of compression: twice as fast as the next better one, for a tenth more of bytes."""


def write(path: Path, entries: Sequence[Entry], packed: Callable[[int], None]) -> None:
    """
    Writes a `.tar.gz`.

    Args:
        path: The file, which is overwritten.
        entries: What it is to hold, in this order.
        packed: Told how many more bytes went into it, before compression.
    """
    with path.open("wb") as file, Gzip(file) as stream, Tar(stream, packed) as tar:
        for entry in entries:
            tar.add(entry)


class Tar:
    """A tar file of entries without owners, and all of the same time."""

    def __init__(self, stream: Gzip, packed: Callable[[int], None]) -> None:
        self._tar = tarfile.TarFile(
            fileobj=cast("IO[bytes]", stream),
            mode="w",
            format=tarfile.GNU_FORMAT,
            copybufsize=_CHUNK_BYTES,
        )
        self._packed = packed

    def __enter__(self) -> Tar:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._tar.close()

    def add(self, entry: Entry) -> None:
        info = tarfile.TarInfo(entry.target)
        info.mtime = TIME
        info.mode = 0o755 if entry.executable or entry.is_directory else 0o644
        content = entry.content
        if entry.source is not None and entry.compiled_from is not None:
            content = unchecked(entry.source, entry.compiled_from)
        if content is not None:
            info.size = len(content)
            self._tar.addfile(info, io.BytesIO(content))
        elif entry.source is not None:
            self._add_file(info, entry.source)
        else:
            info.type = tarfile.SYMTYPE if entry.link is not None else tarfile.DIRTYPE
            info.linkname = entry.link or ""
            self._tar.addfile(info)
        self._packed(info.size)

    def _add_file(self, info: tarfile.TarInfo, path: Path) -> None:
        try:
            with path.open("rb") as file:
                info.size = os.fstat(file.fileno()).st_size
                self._tar.addfile(info, file)
        except OSError as error:
            raise PythonEnvironmentError(
                f"The file {path} cannot be packed ({error.strerror or error}). Check its "
                "permissions, and that nothing changes it meanwhile."
            ) from None


class Gzip:
    """Compresses on all cores: gzip takes a file in parts, which need not wait for each other."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._workers = min(os.cpu_count() or 1, 8)
        self._pool = ThreadPoolExecutor(self._workers, thread_name_prefix="knit-gzip")
        self._pending: deque[Future[bytes]] = deque()
        self._buffer = bytearray()
        self._position = 0

    def __enter__(self) -> Gzip:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._submit(bytes(self._buffer))
                while self._pending:
                    self._file.write(self._pending.popleft().result())
        finally:
            self._pool.shutdown(cancel_futures=True)

    def tell(self) -> int:
        return self._position

    def write(self, data: bytes) -> int:
        self._position += len(data)
        self._buffer += data
        while len(self._buffer) >= _CHUNK_BYTES:
            self._submit(bytes(self._buffer[:_CHUNK_BYTES]))
            del self._buffer[:_CHUNK_BYTES]
        return len(data)

    def _submit(self, chunk: bytes) -> None:
        while len(self._pending) >= 2 * self._workers:
            self._file.write(self._pending.popleft().result())
        self._pending.append(self._pool.submit(_compressed, chunk))


def _compressed(chunk: bytes) -> bytes:
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    return compressor.compress(chunk) + compressor.flush()
