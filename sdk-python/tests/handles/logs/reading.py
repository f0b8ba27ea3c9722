"""What tests of streams of logs share."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable

from knit import (
    LogChunk,
    LogLine,
)
from knit.testing import FakeApplicationMaster

Files = dict[tuple[str, str], bytes]


def joined(items: Iterable[LogChunk | LogLine]) -> Files:
    """The files, put together; fails where an offset is not the next one."""
    files: defaultdict[tuple[str, str], bytearray] = defaultdict(bytearray)
    for item in items:
        file = files[item.container_id, item.file]
        assert item.offset_bytes == len(file)
        file += item.data
    return {key: bytes(data) for key, data in files.items()}


def ids(fake: FakeApplicationMaster) -> list[str]:
    return [c.container_id for c in fake.containers() if c.container_id is not None]


def finish_all(fake: FakeApplicationMaster) -> None:
    for container_id in ids(fake):
        fake.finish(container_id)
    fake.end()


def wait_for_no_stream(fake: FakeApplicationMaster) -> None:
    deadline = time.monotonic() + 30
    while fake.open_streams:
        assert time.monotonic() < deadline, "the fake still serves a stream"
        time.sleep(0.01)
