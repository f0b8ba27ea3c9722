"""What has come of a stream of log files, and what is still wanted of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from knit._values.logs import FileKey, Identity, Item, LogChunk, LogEnd
from knit._wire.channel import LARGEST_MESSAGE_BYTES, check_size
from knit.exceptions import ApplicationError

if TYPE_CHECKING:
    from knit.v1 import log_service_pb2

_FIELD_BYTES = 4
"""What a position takes in its request beside itself: a tag and a length."""


class LogCursor:
    """
    Where a stream of log files is: it resumes from here when its connection breaks.

    It waits for nothing and sends nothing, so it serves a stream that blocks and one that does
    not alike. Not for several threads at once.

    Args:
        request: What is wanted.
        what: What is tried, as the beginning of a sentence.
        can_complete: Whether what is lacking at an end may be had later: then an end that is
            not complete is kept to itself, for the rest of its last line may come yet.
    """

    def __init__(
        self, request: log_service_pb2.StreamLogsRequest, *, what: str, can_complete: bool
    ) -> None:
        self.request = request
        self.can_complete = can_complete
        self._what = what
        self.positions: dict[FileKey, int] = {}
        """The offset after the last byte of each file that has come or was left out."""
        self.ends: dict[FileKey, LogEnd] = {}
        """The ends that have come."""
        self.removed: dict[FileKey, LogEnd] = {}
        """Those of files that their nodes have no more, and that may be collected by now."""
        self.identities: dict[str, Identity] = {}
        """Which container is which, by its ID."""
        self._cut: set[FileKey] = set()

    @property
    def files(self) -> tuple[str, ...]:
        """The names of the files that are wanted."""
        return tuple(self.request.file_names) or ("stdout", "stderr")

    def progress(self) -> object:
        """A value that is another one once anything has come."""
        return dict(self.positions), len(self.ends)

    def next_request(self) -> log_service_pb2.StreamLogsRequest:
        """
        What is still wanted.

        Raises:
            ResourceExhaustedError: It is more than a request can say.
        """
        from knit.v1 import log_service_pb2

        request = log_service_pb2.StreamLogsRequest()
        request.CopyFrom(self.request)
        left = LARGEST_MESSAGE_BYTES - request.ByteSize()
        # Of too many files those go without of which the least was read: the Application Master
        # then sends it again, and it is skipped here.
        for (container_id, file), offset in sorted(
            self.positions.items(), key=lambda position: position[1], reverse=True
        ):
            position = log_service_pb2.LogPosition(
                container_id=container_id, file_name=file, offset_bytes=offset
            )
            left -= position.ByteSize() + _FIELD_BYTES
            if left < 0:
                break
            request.positions.append(position)
        check_size(request, self._what)
        return request

    def accept(self, response: log_service_pb2.StreamLogsResponse) -> Item | None:
        """
        Takes note of a response, and returns what it says that was not known.

        Raises:
            ApplicationError: Bytes were left out.
        """
        kind = response.WhichOneof("item")
        if kind == "chunk":
            self._identify(response.chunk)
            return self._accept_chunk(response.chunk)
        if kind == "end":
            self._identify(response.end)
            return self._accept_end(response.end)
        if kind == "begin":
            begin = response.begin
            self._identify(begin)
            key = (begin.container_id, begin.file_name)
            if begin.is_cut:
                self.positions[key] = begin.offset_bytes
                self._cut.add(key)
            else:
                self.positions.setdefault(key, begin.offset_bytes)
        return None  # newer than this SDK

    def note(self, item: Item) -> None:
        """Takes note of what came in another way."""
        key = (item.container_id, item.file)
        if isinstance(item, LogEnd):
            self.positions[key], self.ends[key] = item.offset_bytes, item
        else:
            self.positions[key] = item.offset_bytes + len(item.data)

    def take_removed(self) -> dict[FileKey, LogEnd]:
        """The files that are now to be looked for among what is collected; each time others."""
        taken, self.removed = self.removed, {}
        return taken

    def forget(self, key: FileKey, end: LogEnd) -> None:
        """A file's container is not asked for any more: it may be among what is collected."""
        self.ends[key] = self.removed[key] = end
        self.identities[key[0]] = (end.service, end.rank, end.attempt_number)
        left = [each for each in self.request.container_ids if each != key[0]]
        del self.request.container_ids[:]
        self.request.container_ids.extend(left)

    def give_up(self, end: LogEnd) -> LogEnd | None:
        """Takes note that a file is not complete, and returns that if it is to be told now."""
        self.ends[end.container_id, end.file] = end
        return None if self.can_complete else end

    def unfinished(self) -> Iterator[FileKey]:
        """The files that were begun, and of which there may be more than has come."""
        for container_id in self.identities:
            for name in self.files:
                end = self.ends.get((container_id, name))
                if end is None or not end.is_complete:
                    yield container_id, name

    def leave_unfinished(self, why: str) -> Iterator[LogEnd]:
        """The ends of all files of which no more is to come, and why it cannot."""
        for key in list(self.unfinished()):
            end = self.ends.get(key)
            live = end.incomplete_reason if end is not None else None
            said = (
                f"{live or 'Its Application Master was lost while it ran.'} Nor could it be "
                f"completed afterwards: {why}"
            )
            self.ends[key] = LogEnd(
                *self.identities[key[0]], *key, self.positions.get(key, 0), said
            )
            yield self.ends[key]

    def _identify(
        self,
        message: log_service_pb2.LogBegin | log_service_pb2.LogChunk | log_service_pb2.LogEnd,
    ) -> None:
        identity = message.service_name, message.rank, message.attempt_number
        self.identities[message.container_id] = identity

    def _accept_chunk(self, chunk: log_service_pb2.LogChunk) -> LogChunk | None:
        key = (chunk.container_id, chunk.file_name)
        data, offset = chunk.data, chunk.offset_bytes
        expected = self.positions.get(key, offset)
        if offset > expected:
            raise ApplicationError(
                f"{self._what}: the bytes {expected} to {offset} of {chunk.file_name} of "
                f"{chunk.container_id} were left out. Read the file again from its start."
            )
        if offset < expected:
            data, offset = data[expected - offset :], expected
        if not data:
            return None
        self.positions[key] = offset + len(data)
        return LogChunk(
            chunk.service_name,
            chunk.rank,
            chunk.attempt_number,
            chunk.container_id,
            chunk.file_name,
            offset,
            data,
            self._take_cut(key),
        )

    def _take_cut(self, key: FileKey) -> bool:
        is_cut = key in self._cut
        self._cut.discard(key)
        return is_cut

    def _accept_end(self, end: log_service_pb2.LogEnd) -> LogEnd | None:
        key = (end.container_id, end.file_name)
        if end.may_be_collected:
            known = self.ends.get(key)
            if known is not None and known.is_complete:
                return None  # it was read from what is collected before the connection broke
        found = self.ends[key] = LogEnd(
            end.service_name,
            end.rank,
            end.attempt_number,
            end.container_id,
            end.file_name,
            end.offset_bytes,
            end.incomplete_reason or None,
        )
        if end.may_be_collected:
            if end.offset_bytes:  # else its last lines may be wanted, wherever they begin
                self.positions[key] = end.offset_bytes
            self.removed[key] = found
            return None
        self.positions[key] = end.offset_bytes
        if not found.is_complete and self.can_complete:
            return None  # the rest of its last line may come yet
        return found
