"""What comes from outside, or grows with the work, does not end an Application Master."""

from __future__ import annotations

import contextlib
import errno
import resource
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import grpc
import knit
import pytest
from knit import FinalStatus
from knit.v1 import log_service_pb2 as pb
from knit.v1.log_service_pb2_grpc import LogServiceStub

from integration import programs, raw_http2, wire
from integration.applications import Applications, finish, program, wait_for_text
from integration.hdfs import Hdfs
from integration.waiting import wait_until

pytestmark = [
    pytest.mark.alone("floods the machine with connections and bytes"),
    pytest.mark.timeout(400),
]

CONTAINERS = 63
NAMES = [f"many-{number}.log" for number in range(32)]
"""As many as a stream takes: with the containers 2,016 files."""

SIZE = 70_000
"""More than a chunk. All files of all containers are 141 MB."""

READERS = 50
STRANGERS = 10_000
LogCall = Any
"""A call that can be iterated over and cancelled, of which gRPC has no public type."""

METHOD = "/knit.v1.LogService/StreamLogs"


@pytest.fixture(scope="module")
def app(module_applications: Applications, hdfs: Hdfs) -> Iterator[knit.Application]:
    """
    One application for all of these, whose Application Master has what it has by default.

    YARN ends it if it takes more memory than that, and there is no second attempt.
    """
    gate = module_applications.gate()
    app = module_applications.submit(
        program("many-files", len(NAMES), SIZE, instances=CONTAINERS, environment=gate.environment),
    )
    wait_for_text(app, "written", CONTAINERS)
    yield app
    lives(app)
    gate.open()
    ending = finish(app)
    assert ending.report.final_status is FinalStatus.SUCCEEDED, ending.report.diagnostics


def lives(app: knit.Application) -> None:
    """It is the first one still, and all containers run."""
    description = app.describe()
    assert description.attempt_number == 1
    running = Counter(container.state for container in app.containers())
    assert running == {knit.ContainerState.RUNNING: CONTAINERS}


def everything(*, follow: bool) -> pb.StreamLogsRequest:
    return pb.StreamLogsRequest(file_names=NAMES, follow=follow)


@contextlib.contextmanager
def streams(
    app: knit.Application, hdfs: Hdfs, count: int, *, follow: bool = True
) -> Iterator[list[LogCall]]:
    """Streams of all files, each over a connection of its own."""
    with contextlib.ExitStack() as stack:
        calls = []
        for _ in range(count):
            channel = stack.enter_context(wire.trusted_channel(app, hdfs))
            call = LogServiceStub(channel).StreamLogs(everything(follow=follow))
            stack.callback(call.cancel)
            calls.append(call)
        yield calls


@contextlib.contextmanager
def open_files(count: int) -> Iterator[None]:
    """Let this process have so many files open."""
    soft, hard = limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard not in range(count):
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count), hard))
    else:
        pytest.skip(f"a process may have no more than {hard} files open here, and it takes {count}")
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def answers(app: knit.Application, seconds: float) -> None:
    """Others are answered for so long, however busy the machine is."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert len(app.containers(timeout=timedelta(seconds=20))) == CONTAINERS
        time.sleep(0.1)


def test_two_thousand_files_reach_one_fast_reader_whole(app: knit.Application, hdfs: Hdfs) -> None:
    received: dict[tuple[int, str], bytearray] = {}
    with streams(app, hdfs, 1, follow=False) as [call]:
        for response in call:
            if response.HasField("end"):
                assert response.end.incomplete_reason == ""
                continue
            chunk = response.chunk
            file = received.setdefault((chunk.rank, chunk.file_name), bytearray())
            assert chunk.offset_bytes == len(file)
            file += chunk.data
    assert received == {
        (rank, name): programs.many_file(f"worker/{rank}", number, SIZE)
        for rank in range(CONTAINERS)
        for number, name in enumerate(NAMES)
    }
    lives(app)


def test_a_slow_reader_and_one_that_stops_cost_others_nothing(
    app: knit.Application, hdfs: Hdfs
) -> None:
    with streams(app, hdfs, 2) as [stopped, slow]:
        next(stopped)
        files = set()
        for _ in range(100):
            response = next(slow)
            files.add((response.chunk.rank, response.chunk.file_name))
            assert len(app.containers(timeout=timedelta(seconds=20))) == CONTAINERS
        assert len(files) > CONTAINERS / 2, "files take turns"
    lives(app)


def test_fifty_readers_of_two_thousand_files_are_all_served(
    app: knit.Application, hdfs: Hdfs
) -> None:
    wanted = 1_000_000
    received = [0] * READERS

    def read(number: int, call: LogCall) -> None:
        with contextlib.suppress(grpc.RpcError):
            for response in call:
                received[number] += len(response.chunk.data)
                if received[number] > wanted:
                    return

    # A tenth of them never reads more than the library does by itself.
    with streams(app, hdfs, READERS) as calls:
        threads = [
            threading.Thread(target=read, args=each, daemon=True)
            for each in list(enumerate(calls))[READERS // 10 :]
        ]
        for thread in threads:
            thread.start()
        answers(app, 5)
        wait_until(
            lambda: all(count > wanted for count in received[READERS // 10 :]),
            what="a reader is not served",
            timeout=timedelta(seconds=180),
            evidence=lambda: received,
        )
    lives(app)


def test_a_reader_with_the_largest_window_that_reads_nothing_is_sent_next_to_nothing(
    app: knit.Application, hdfs: Hdfs
) -> None:
    keys = wire.Keys.of(hdfs, app.application_id)
    request = everything(follow=True).SerializeToString()
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(
                raw_http2.call_that_reads_nothing(wire.address_of(app), keys, METHOD, request)
            )
        answers(app, 8)
    lives(app)


def test_ten_thousand_strangers_who_say_nothing_keep_nobody_out(
    app: knit.Application, hdfs: Hdfs
) -> None:
    host, _, port = wire.address_of(app).rpartition(":")
    with contextlib.ExitStack() as stack:
        stack.enter_context(open_files(STRANGERS + 500))
        for _ in range(STRANGERS):
            stranger = stack.enter_context(socket.socket())
            stranger.setblocking(False)
            assert stranger.connect_ex((host, int(port))) in (0, errno.EINPROGRESS)
        answers(app, 5)
        for _ in range(10):
            # Newcomers, too.
            with wire.trusted_channel(app, hdfs) as channel:
                wire.call(channel, "/knit.v1.ApplicationService/GetApplication", b"")
    lives(app)
