"""Log streams: whole, in order, once, and never more in memory than is read."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knit import (
    Application,
    ApplicationSpec,
    ContainerNotFoundError,
    InvalidRequestError,
    KnitError,
    LogLine,
    Service,
    SpecError,
)
from knit.testing import FakeApplicationMaster, Fault
from tests.handles.logs.reading import finish_all, ids, joined, wait_for_no_stream


def test_lines_come_with_where_they_are_from(
    fake: FakeApplicationMaster, application: Application
) -> None:
    server = fake.containers()[0]
    assert server.container_id is not None
    fake.write(server.container_id, "é\r\nno newline".encode())
    fake.write(server.container_id, b"\xff\n", file="stderr")
    lines = sorted(application.logs(services=["server"]), key=lambda line: line.file)
    assert lines[1] == LogLine("server", 0, 1, server.container_id, "stdout", 0, "é\r\n".encode())
    assert [line.text for line in lines] == ["\ufffd", "é", "no newline"]
    assert [line.offset_bytes for line in lines] == [0, 0, 4]


def test_following_ends_with_the_application_and_includes_later_containers(
    fake: FakeApplicationMaster, application: Application
) -> None:
    def happen() -> None:
        first, *_ = ids(fake)
        for number in range(20):
            fake.write(first, b"line %d\n" % number)
            time.sleep(0.005)
        later = fake.add("worker")[0]
        fake.write(later.container_id, b"later\n")
        finish_all(fake)

    happening = threading.Thread(target=happen)
    happening.start()
    stream = application.logs(follow=True)
    texts = [line.text for line in stream]
    happening.join()
    assert texts == [f"line {number}" for number in range(20)] + ["later"]
    assert len(stream.ends) == 8
    assert all(end.is_complete for end in stream.ends.values())


def test_following_containers_ends_with_them(
    fake: FakeApplicationMaster, application: Application
) -> None:
    container = application.containers()[0]
    ending = threading.Timer(0.1, lambda: fake.finish(container.container_id))
    ending.start()
    fake.write(container.container_id, b"a\nb\nc\n")
    assert [line.text for line in container.logs(follow=True, tail_lines=2)] == ["b", "c"]
    ending.join()


def test_last_lines_are_not_looked_for_again_after_a_break(
    fake: FakeApplicationMaster, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written between the look and the first byte would be missed."""
    first = ids(fake)[0]
    fake.write(first, b"a\nb\n")
    container = application.containers()[0]
    fake.fail_next(Fault(status="UNAVAILABLE", after_bytes=0))
    with container.logs(files=["stdout"], tail_lines=1, follow=True) as stream:
        # What the stream does between the break and its next try.
        monkeypatch.setattr(stream._closed, "wait", lambda _: fake.write(first, b"c\nd\n"))
        lines = iter(stream)
        assert [next(lines).text for _ in range(3)] == ["b", "c", "d"]
    assert fake.calls.count("StreamLogs") == 2


def test_a_file_that_lost_its_end_says_so(
    fake: FakeApplicationMaster, application: Application
) -> None:
    first = ids(fake)[0]
    fake.write(first, b"some")
    fake.lose_logs(first, "Its node was lost.")
    stream = application.logs(containers=[first], files=["stdout"], follow=True)
    assert [line.data for line in stream] == [b"some"]
    end = stream.ends[first, "stdout"]
    assert (end.offset_bytes, end.incomplete_reason) == (4, "Its node was lost.")
    assert not end.is_complete


@settings(max_examples=30)
@given(
    contents=st.lists(st.binary(max_size=3000), min_size=1, max_size=4),
    cuts=st.lists(st.integers(1, 2000), max_size=5),
    chunk_bytes=st.sampled_from([7, 100, 64 * 1024]),
)
def test_no_byte_comes_twice_or_is_missing_wherever_the_stream_is_cut(
    contents: list[bytes], cuts: list[int], chunk_bytes: int
) -> None:
    spec = ApplicationSpec("a", {"worker": Service("true", instances=len(contents))})
    with FakeApplicationMaster(spec, chunk_bytes=chunk_bytes) as fake:
        wanted = {}
        for container_id, content in zip(ids(fake), contents, strict=True):
            fake.write(container_id, content)
            fake.finish(container_id)
            if content:
                wanted[container_id, "stdout"] = content
        fake.end()
        for cut in cuts:
            fake.fail_next(Fault(status="UNAVAILABLE", after_bytes=cut))
        stream = fake.application().logs(follow=True)
        assert joined(stream) == wanted
        assert {key: end.offset_bytes for key, end in stream.ends.items()} == {
            (container_id, file): len(wanted.get((container_id, file), b""))
            for container_id in ids(fake)
            for file in ("stdout", "stderr")
        }


class Relay:
    """Forwards connections, and cuts each after so many bytes from the server."""

    def __init__(self, target: str, cuts: list[int]) -> None:
        host, _, port = target.rpartition(":")
        self._target = host, int(port)
        self._cuts = list(cuts)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.cuts_made = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._target)
            left = self._cuts.pop(0) if self._cuts else None
            threading.Thread(target=self._pump, args=(client, server, None), daemon=True).start()
            threading.Thread(target=self._pump, args=(server, client, left), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, left: int | None) -> None:
        try:
            while data := source.recv(4096):
                if left is not None and len(data) >= left:
                    target.sendall(data[:left])
                    self.cuts_made += 1
                    break
                left = left - len(data) if left is not None else None
                target.sendall(data)
        except OSError:
            pass
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


def test_connections_that_are_really_cut_lose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut below TLS, at any byte, some even before the first message."""
    chance = random.Random(7)
    spec = ApplicationSpec("a", {"worker": Service("true", instances=3)})
    with FakeApplicationMaster(spec, chunk_bytes=5000) as fake:
        wanted = {}
        for container_id in ids(fake):
            content = chance.randbytes(400_000)
            fake.write(container_id, content)
            wanted[container_id, "stdout"] = content
        finish_all(fake)
        assert fake.address is not None
        cuts = [chance.randrange(1000, 250_000) for _ in range(8)]
        relay = Relay(fake.address, [*cuts[:4], 100, *cuts[4:]])
        monkeypatch.setattr(fake, "_address", relay.address)
        files = joined(fake.application().logs(follow=True).chunks())
        relay.close()
    assert files == wanted
    assert relay.cuts_made >= 5


def test_an_application_master_that_comes_back_elsewhere_is_followed() -> None:
    with FakeApplicationMaster() as fake:
        first = ids(fake)[0]
        fake.write(first, b"before\n")
        lines = iter(fake.application().logs(follow=True))
        assert next(lines).text == "before"
        with fake.away():
            fake.write(first, b"meanwhile\n")
        finish_all(fake)
        assert [line.text for line in lines] == ["meanwhile"]


def test_a_stream_goes_on_in_the_archive_when_the_application_master_has_left(
    fake: FakeApplicationMaster, application: Application
) -> None:
    """No byte comes twice, and none is left out."""
    stream = application.logs(follow=True)
    chunks = stream.chunks()
    first, second = ids(fake)[:2]
    fake.write(first, b"first\n")
    begun = next(chunks)
    fake.write(first, b"second\n")
    fake.write(second, b"other\n")
    application.kill()
    files = joined([begun, *chunks])
    assert files == {(first, "stdout"): b"first\nsecond\n", (second, "stdout"): b"other\n"}
    assert stream.incomplete_reason is None
    assert {end.offset_bytes for end in stream.ends.values()} == {0, 6, 13}


def test_logs_and_their_sizes_can_be_read_when_the_application_master_has_left(
    fake: FakeApplicationMaster, application: Application
) -> None:
    first = ids(fake)[0]
    fake.write(first, b"1\n2\n3\n")
    application.kill()
    assert [line.text for line in application.logs(tail_lines=2)] == ["2", "3"]
    assert [(f.name, f.size_bytes) for f in application.log_files(first)] == [
        ("stderr", 0),
        ("stdout", 6),
    ]
    logs = application.aggregated_logs()
    assert logs.is_complete
    assert logs.containers[first].read("stdout") == b"1\n2\n3\n"
    test_what_makes_no_sense_is_refused(application)


def test_a_drivers_logs_are_those_of_its_own_files_beside_the_application_master(
    application: Application,
) -> None:
    master = application.master_container_id()
    assert master == application.describe().master_container_id
    for others in ({"services": ["web"]}, {"containers": [master]}):
        with pytest.raises(ValueError, match="driver is for itself"):
            application.logs(driver=True, **others)  # type: ignore[arg-type]
    application.kill()
    assert application.master_container_id() == master
    stream = application.logs(driver=True)
    assert list(stream) == []
    assert set(stream.ends) == {(master, "driver.stdout"), (master, "driver.stderr")}
    named = application.logs(driver=True, files=["driver.stdout"])
    assert list(named) == []
    assert set(named.ends) == {(master, "driver.stdout")}


@pytest.mark.parametrize("status", ["INTERNAL", "RESOURCE_EXHAUSTED", "UNKNOWN"])
def test_what_is_no_broken_connection_is_not_tried_again(
    fake: FakeApplicationMaster, application: Application, status: str
) -> None:
    fake.fail_next(Fault(status=status))
    with pytest.raises(KnitError):
        list(application.logs())
    assert fake.calls == ["StreamLogs"]


def test_what_makes_no_sense_is_refused(application: Application) -> None:
    with pytest.raises(ContainerNotFoundError):
        list(application.logs(services=["nobody"]))
    with pytest.raises(ContainerNotFoundError):
        list(application.logs(containers="container_1_0001_01_000009"))
    with pytest.raises(InvalidRequestError):
        list(application.logs(files=["../x"]))
    with pytest.raises(InvalidRequestError):
        list(application.logs(tail_lines=-1))
    with pytest.raises(SpecError, match="give a list"):
        application.logs(files="stdout")


def test_leaving_the_block_or_the_loop_ends_the_call(
    fake: FakeApplicationMaster, application: Application
) -> None:
    fake.write(ids(fake)[0], b"a\nb\n")
    with application.logs(follow=True) as stream:
        assert next(iter(stream)).text == "a"
        assert fake.open_streams == 1
    wait_for_no_stream(fake)
    for line in application.logs(follow=True):
        assert line.text == "a"
        break
    wait_for_no_stream(fake)


def test_another_thread_can_end_a_stream_that_waits(
    fake: FakeApplicationMaster, application: Application
) -> None:
    stream = application.logs(follow=True)
    closing = threading.Timer(0.2, stream.close)
    closing.start()
    assert list(stream) == []
    closing.join()
    wait_for_no_stream(fake)


def test_who_reads_slowly_is_sent_to_slowly(
    fake: FakeApplicationMaster, application: Application
) -> None:
    total = 64 * 1024 * 1024
    first = ids(fake)[0]
    fake.write(first, bytes(total))
    chunks = application.logs(containers=first, files=["stdout"]).chunks()
    read = len(next(chunks).data)
    previous = -1
    while previous != fake.sent_bytes:  # until the sender stands still
        previous = fake.sent_bytes
        time.sleep(0.3)
    assert fake.sent_bytes < total / 2
    read += sum(len(chunk.data) for chunk in chunks)
    assert read == total
