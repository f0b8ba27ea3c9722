"""Files of a rotation, in whatever order they are written, collected, removed and read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from knit._handles.log_starts import RolledStart
from knit._handles.rolled_logs import Listing, RolledReader
from knit._values.logs import Identity, LogChunk, LogEnd
from knit._wire.log_cursor import LogCursor
from knit._wire.rolled_files import LookAgainError, RolledFiles
from knit.v1 import log_service_pb2 as pb
from tests.handles.archived import ONE, Part, container, logs

NAME = "app.rolled"
KEY = (ONE, NAME)
WHO: Mapping[str, Identity] = {ONE: ("web", 0, 1)}

STEPS = st.lists(
    st.sampled_from(["rotate", "collect", "remove", "read", "read some", "break"]), max_size=40
)
# Few letters, so that files begin alike, and are as long as others.
CONTENTS = st.lists(st.text("ab", min_size=1, max_size=6), min_size=1, max_size=12)


class World:
    """A node, what is collected of it, an Application Master, and who reads."""

    def __init__(self) -> None:
        self.on_node: bytes | None = None
        self.is_collected = False
        self.pieces: list[bytes] = []
        self.written = b""
        self.got = b""
        self._offset = 0
        self._is_new = False
        self._is_read = True
        self._is_behind = False
        request = pb.StreamLogsRequest(file_names=[NAME], follow=True)
        self._cursor = LogCursor(request, what="Reading", can_complete=True)
        self._rolled = RolledFiles(self._cursor.positions)
        self._reader = RolledReader(
            "Reading",
            [NAME],
            rolled=self._rolled,
            positions=self._cursor.positions,
            tail_lines=None,
            listing=Listing(identify=lambda: WHO, files_of=lambda _: ()),
        )
        self.connect()

    # The node

    def rotate(self, content: bytes) -> bool:
        """A file gets the name, once the one before it was collected."""
        if self.on_node is not None and not self.is_collected:
            return False
        if content == (self.pieces or [b""])[-1]:
            return False  # it would be taken for the one before it
        self._is_new = self.on_node is not None or self._is_new or bool(self.pieces)
        # What was not read before it was removed comes at the file's end, or after a break.
        self._is_behind = self._is_behind or not self._is_read
        self.on_node, self.is_collected, self._is_read = content, False, False
        self.written += content
        return True

    def collect(self) -> None:
        if self.on_node is not None and not self.is_collected:
            self.pieces.append(self.on_node)
            self.is_collected = True

    def remove(self) -> None:
        if self.is_collected:
            self.on_node = None

    # Reading

    def connect(self) -> None:
        part = Part(*((NAME, piece) for piece in self.pieces), cut=2)
        found = logs(container(ONE, part), settled=False, has_ended=False)
        for chunk in self._reader.items(lambda: found):
            self._cursor.note(chunk)
            self._take(chunk)
        request = self._cursor.next_request()
        self._rolled.to_node(request)
        self._offset = request.positions[0].offset_bytes if request.positions else 0
        self._is_new = self._is_behind = False
        self._is_read = self._is_read or self.is_collected

    def read(self, most: int) -> None:
        """What the Application Master sees of the node, which notices each new file."""
        if self.on_node is None:
            return
        if self._is_behind:
            self.connect()
        place: dict[str, Any] = {"container_id": ONE, "file_name": NAME}
        if self._is_new or self._offset > len(self.on_node):
            self._offset, self._is_new = 0, False
            if not self._accept(pb.StreamLogsResponse(begin=pb.LogBegin(**place, is_cut=True))):
                return
        data = self.on_node[self._offset :][:most]
        if data:
            chunk = pb.LogChunk(**place, offset_bytes=self._offset, data=data)
            self._offset += len(data)
            self._accept(pb.StreamLogsResponse(chunk=chunk))
        self._is_read = self._is_read or self._offset == len(self.on_node)

    def end(self) -> None:
        """The container ends, and all that is left of it is collected."""
        self.collect()
        part = Part(*((NAME, piece) for piece in self.pieces), cut=2)
        found = container(ONE, part)
        start = RolledStart(self._rolled.file(KEY), found, NAME)
        for piece in found._pieces():
            start.begin(piece)
            for data in piece.data.pieces():
                self.got += data[start.left_out_of(data, 0) :]
        start.finish()
        assert self._rolled.file(KEY).sent_of(found._pieces()) == [len(p) for p in self.pieces]

    def _accept(self, response: pb.StreamLogsResponse) -> bool:
        """Whether the stream goes on as it is."""
        try:
            for told in self._rolled.from_node(response):
                item = self._cursor.accept(told)
                if item is not None:
                    self._take(item)
        except LookAgainError:
            self.connect()
            return False
        return True

    def _take(self, item: LogChunk | LogEnd) -> None:
        assert isinstance(item, LogChunk)
        assert item.offset_bytes == len(self.got)
        self.got += item.data


@settings(max_examples=400, deadline=None)
@given(steps=STEPS, contents=CONTENTS)
@example(  # the node's file is the one that was collected, and goes before all of it has come again
    steps=["rotate", "collect", "break", "read some", "rotate", "read"], contents=["aaa", "a"]
)
@example(  # it is another one that begins alike
    steps=["rotate", "collect", "remove", "break", "rotate", "read", "collect", "rotate", "read"],
    contents=["aaa", "aa", "b"],
)
@example(steps=["rotate", "collect", "rotate", "read"], contents=["a", "ab"])
def test_each_byte_comes_once_and_in_order(steps: Iterable[str], contents: list[str]) -> None:
    world, left = World(), [each.encode() for each in contents]
    for step in steps:
        if step == "rotate" and left:
            if world.rotate(left[0]):
                left.pop(0)
        elif step == "collect":
            world.collect()
        elif step == "remove":
            world.remove()
        elif step == "read":
            world.read(100)
        elif step == "read some":
            world.read(2)
        elif step == "break":
            world.connect()
        assert world.written.startswith(world.got), (world.written, world.got)
    world.end()
    assert world.got == world.written
