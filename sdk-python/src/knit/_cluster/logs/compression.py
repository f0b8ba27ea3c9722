"""The compressions that YARN may be told to use for aggregated logs."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator

from knit._cluster.logs.reading import PIECE_BYTES, MalformedError


class UnknownCodecError(Exception):
    """Bytes are compressed in a way that is not known here; the argument is its name."""


def decompressed(codec: str, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """
    What compressed chunks say, in pieces that are never large.

    Raises:
        UnknownCodecError: At once; the codec is known by name only, or not at all.
        MalformedError: While reading; these bytes were not written by that codec.
    """
    if codec not in _CODECS:
        raise UnknownCodecError(codec)
    return _CODECS[codec](chunks)


def _inflated(chunks: Iterable[bytes]) -> Iterator[bytes]:
    # It is called gz, and is zlib's own format: one stream, or several one after the other.
    inflater = None
    for chunk in chunks:
        left = chunk
        while left:
            inflater = inflater or zlib.decompressobj()
            try:
                piece = inflater.decompress(left, PIECE_BYTES)
            except zlib.error as error:
                raise MalformedError(f"its compressed data are damaged ({error})") from error
            if piece:
                yield piece
            left = inflater.unconsumed_tail
            if inflater.eof:
                left, inflater = inflater.unused_data, None
    if inflater is None:
        return
    try:
        rest = inflater.flush()
    except zlib.error as error:
        raise MalformedError(f"its compressed data are damaged ({error})") from error
    if rest:
        yield rest
    if not inflater.eof:
        raise MalformedError("its compressed data end too early")


_CODECS: dict[str, Callable[[Iterable[bytes]], Iterator[bytes]]] = {"none": iter, "gz": _inflated}
