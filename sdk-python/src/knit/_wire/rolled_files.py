"""
Files that nodes may collect, and remove, while their program writes others of the same name.

A rotation gives a file such a name once it is complete, and perhaps the same name to the next one
when that has been collected. So a name stands for a row of files, one after the other: those that
were collected, in that order, and the one that its node has now, which may be the last of them
still. What of them was sent is known by its content, as neither source numbers them.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Protocol

import attrs

from knit._values.logs import FileKey, is_rolled

if TYPE_CHECKING:
    from knit.v1 import log_service_pb2

CHUNK_BYTES = 64 * 1024
"""As long as the contract's chunks are."""

Content = tuple[int, bytes]
"""The length of a file and a digest of its bytes."""


class Data(Protocol):
    """Bytes that are read once."""

    def pieces(self) -> Iterator[bytes]:
        """They, bit by bit."""


class Piece(Protocol):
    """One file, as it was collected."""

    @property
    def size_bytes(self) -> int:
        """How many bytes it announces; it may have fewer."""

    @property
    def data(self) -> Data:
        """Its bytes."""


class Measure:
    """The length and the digest of bytes that come bit by bit."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self._hash = hashlib.sha256()

    def add(self, data: bytes) -> None:
        """Takes note of more bytes."""
        self.size_bytes += len(data)
        self._hash.update(data)

    @property
    def digest(self) -> bytes:
        """Of all so far."""
        return self._hash.digest()


class RolledFile:
    """What was sent of the files that have had one name in one container."""

    def __init__(self) -> None:
        self._whole: Counter[Content] = Counter()
        """Those that nothing more may come of."""
        self._last = Measure()
        """What was sent of the latest one."""
        self._last_start = 0
        """Where in it that begins: further than at its start where only its last lines are."""
        self._is_last_live = False
        """Whether it was read from its node, and is not among what is collected as far as known."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing was sent, nor left out on purpose."""
        return not (self._whole or self._last.size_bytes or self._last_start)

    @property
    def is_last_live(self) -> bool:
        """Whether the latest one is the node's, which was not collected when it was looked at."""
        return self._is_last_live

    @property
    def last_bytes(self) -> int:
        """How long the latest one is, as far as it was sent."""
        return self._last_start + self._last.size_bytes

    def begin_live(self, offset_bytes: int) -> None:
        """The node's file is sent from here."""
        self.replaced()
        self._last_start, self._is_last_live = offset_bytes, True

    def add_live(self, data: bytes) -> None:
        """More bytes of the node's file were sent."""
        self._last.add(data)
        self._is_last_live = True

    def replaced(self) -> None:
        """Nothing more comes of the latest one: the node has another one, or none."""
        if self._last.size_bytes and not self._last_start:
            self._whole[self._last.size_bytes, self._last.digest] += 1
        self._last, self._last_start, self._is_last_live = Measure(), 0, False

    def sent_of(self, pieces: Iterable[Piece]) -> list[int]:
        """
        How many of the first bytes of each collected file were sent before.

        Those are read of which their lengths do not tell.
        """
        left, last, start = self._whole.copy(), self._last, self._last_start
        sizes = {size for size, _ in left}
        is_wanted = last.size_bytes > 0
        sent = []
        for piece in pieces:
            may_continue = is_wanted and piece.size_bytes >= start + last.size_bytes
            if piece.size_bytes not in sizes and not may_continue:
                sent.append(0)
                continue
            whole, part = Measure(), Measure()
            for data in piece.data.pieces():
                begin = max(0, start - whole.size_bytes)
                end = max(0, start + last.size_bytes - whole.size_bytes)
                part.add(data[begin:end])
                whole.add(data)
            if left[piece.size_bytes, whole.digest] > 0:
                left[piece.size_bytes, whole.digest] -= 1
                sent.append(piece.size_bytes)
            elif may_continue and part.digest == last.digest:
                is_wanted = self._is_last_live = False
                sent.append(start + last.size_bytes)
            else:
                sent.append(0)
        return sent

    def continued(self, data: bytes) -> None:
        """More bytes of the latest one were sent, from what is collected."""
        self._last.add(data)

    def collected(self, announced_bytes: int, measure: Measure) -> None:
        """A file was sent from what is collected: it came before what its node has."""
        if self._is_last_live:
            self._whole[announced_bytes, measure.digest] += 1
        else:
            self.replaced()
            self._last = measure

    def all_collected(self, contents: Iterable[Content]) -> None:
        """All that is collected was sent, or left out on purpose."""
        self.replaced()
        self._whole |= Counter(contents)


class LookAgainError(Exception):
    """
    Another file has come while it was open which one the node had, and it matters in which order.

    It was the one that was collected last, of which the rest did not come again; or one of the same
    beginning, which has been collected since. So what is collected is looked at, and the stream
    begun anew.
    """


class Doubt:
    """
    Whether what a node has is the file that was collected last, and not removed yet.

    Args:
        read: Reads what was collected.
    """

    def __init__(self, read: Callable[[], Iterator[bytes]]) -> None:
        self.read = read
        self.begin_anew()

    def begin_anew(self) -> None:
        """The node's file comes from its start."""
        self.same_bytes = 0
        """How many bytes have come, all of them the same."""
        self._bytes, self._rest = self.read(), b""

    @property
    def is_over(self) -> bool:
        """Whether all that was collected has come."""
        if not self._rest:
            self._rest = next(self._bytes, b"")
        return not self._rest

    @property
    def is_open(self) -> bool:
        """Whether a beginning has come, and not the rest."""
        return self.same_bytes > 0 and not self.is_over

    def goes_on_with(self, data: bytes) -> bool:
        """Whether the next bytes are those collected. If not, none of them counts as the same."""
        same = 0
        while same < len(data):
            length = min(len(data) - same, 0 if self.is_over else len(self._rest))
            if not length or self._rest[:length] != data[same : same + length]:
                return False
            self._rest = self._rest[length:]
            same += length
        self.same_bytes += same
        return True


@attrs.define
class _State:
    """A name in a container."""

    file: RolledFile = attrs.field(factory=RolledFile)
    base: int = 0
    """Where the first byte of the node's file lies in the row of all files."""
    doubt: Doubt | None = None
    was_there: bool = False
    """Whether the node has shown bytes of the file that it has now."""


class RolledFiles:
    """
    Tells a stream where in a row of files lies what an Application Master sends of the last one.

    Args:
        positions: How far each row was read. Kept up to date by the caller.
    """

    def __init__(self, positions: Mapping[FileKey, int]) -> None:
        self._positions = positions
        self._states: dict[FileKey, _State] = {}
        self.is_unsure = False
        """Whether it is not known what is collected: then it is looked for at each end."""

    def knows(self, key: FileKey) -> bool:
        """Whether anything of it was sent."""
        return key in self._states and not self._states[key].file.is_empty

    def file(self, key: FileKey) -> RolledFile:
        """What was sent under a name in a container."""
        return self._state(key).file

    def presume(self, key: FileKey, read: Callable[[], Iterator[bytes]]) -> None:
        """The file that was collected last may be the one that its node has."""
        state = self._state(key)
        state.base = self._positions.get(key, 0) - state.file.last_bytes
        state.doubt = Doubt(read)

    def follows(self, key: FileKey) -> None:
        """The node's file, if there is one, comes after all that was sent."""
        state = self._state(key)
        state.base, state.doubt = self._positions.get(key, 0), None

    def preceded(self, key: FileKey, size_bytes: int) -> None:
        """Others were sent that came before the node's file, of which there was something."""
        self._state(key).base += size_bytes

    def to_node(self, request: log_service_pb2.StreamLogsRequest) -> None:
        """Makes positions in rows of files positions in the files that nodes have."""
        for position in request.positions:
            state = self._states.get((position.container_id, position.file_name))
            if state is None:
                continue
            if state.doubt is not None:
                state.doubt.begin_anew()
                position.offset_bytes = 0
            else:
                position.offset_bytes = max(0, position.offset_bytes - state.base)

    def from_node(
        self, response: log_service_pb2.StreamLogsResponse
    ) -> Iterator[log_service_pb2.StreamLogsResponse]:
        """
        What a response says of rows of files. Its offsets are those in the node's file.

        The caller takes note of each before the next one.

        Raises:
            LookAgainError: What is collected has to be looked at before anything more is read.
        """
        kind = response.WhichOneof("item")
        item: log_service_pb2.LogBegin | log_service_pb2.LogChunk | log_service_pb2.LogEnd
        item = response.begin if kind == "begin" else response.end
        item = response.chunk if kind == "chunk" else item
        if kind is None or not is_rolled(item.file_name):
            yield response
            return
        key = (item.container_id, item.file_name)
        state = self._state(key)
        if kind == "chunk":
            yield from self._chunk(key, state, response)
        elif kind == "begin":
            if response.begin.is_cut:  # here it is another file, and what was read is not void
                if state.doubt is not None and state.doubt.is_open:
                    raise LookAgainError
                state.file.replaced()
                state.doubt, state.was_there = None, False
                state.base = self._positions.get(key, 0)
            else:
                state.file.begin_live(response.begin.offset_bytes)
                yield response
        else:
            end = response.end
            # A shorter file than the one that was collected is another one, if that is all of it.
            if state.doubt is not None and state.doubt.is_open and not end.incomplete_reason:
                yield from self._another(key, state, end, state.doubt)
            state.doubt = None
            end.offset_bytes = max(self._positions.get(key, 0), state.base + end.offset_bytes)
            if not end.incomplete_reason and (self.is_unsure or not state.was_there):
                end.may_be_collected = True
                end.incomplete_reason = "Its node has nothing of it: YARN may have collected it."
            yield response

    def _state(self, key: FileKey) -> _State:
        return self._states.setdefault(key, _State())

    def _chunk(
        self, key: FileKey, state: _State, response: log_service_pb2.StreamLogsResponse
    ) -> Iterator[log_service_pb2.StreamLogsResponse]:
        chunk, doubt = response.chunk, state.doubt
        state.was_there = True
        if doubt is not None:
            new = chunk.data[max(0, doubt.same_bytes - chunk.offset_bytes) :]
            if doubt.goes_on_with(new):
                return
            # A longer one is another one, too: what was collected was complete by its name.
            yield from self._another(key, state, chunk, doubt)
        chunk.offset_bytes += state.base
        known = self._positions.get(key, chunk.offset_bytes) - chunk.offset_bytes
        state.file.add_live(chunk.data[max(0, known) :])
        yield response

    def _another(
        self,
        key: FileKey,
        state: _State,
        told: log_service_pb2.LogChunk | log_service_pb2.LogEnd,
        doubt: Doubt,
    ) -> Iterator[log_service_pb2.StreamLogsResponse]:
        """The node has another file, of which bytes were held back that are the same."""
        from knit.v1 import log_service_pb2

        state.doubt, left = None, doubt.same_bytes
        state.file.replaced()
        state.base = self._positions.get(key, 0)
        for data in doubt.read():
            for begin in range(0, min(left, len(data)), CHUNK_BYTES):
                held = data[begin : min(begin + CHUNK_BYTES, left, len(data))]
                state.file.add_live(held)
                yield log_service_pb2.StreamLogsResponse(
                    chunk=log_service_pb2.LogChunk(
                        container_id=key[0],
                        service_name=told.service_name,
                        rank=told.rank,
                        attempt_number=told.attempt_number,
                        file_name=key[1],
                        offset_bytes=self._positions.get(key, 0),
                        data=held,
                    )
                )
            left -= len(data)
            if left <= 0:
                return
