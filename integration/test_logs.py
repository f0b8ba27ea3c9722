"""What containers write reaches every reader live, whole, once and in order, from every node."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from datetime import timedelta

import grpc
import knit
import pytest
from knit import ContainerState, FailurePolicy, FinalStatus
from knit.v1 import log_service_pb2 as pb
from knit.v1.log_service_pb2_grpc import LogServiceStub

from integration import evidence, programs, wire
from integration.applications import (
    PATIENCE,
    PROGRAMS,
    SMALL,
    Applications,
    Gate,
    LogKey,
    finish,
    program,
    read_logs,
    refuses_what_is_not_there,
    wait_for_states,
    wait_for_text,
)
from integration.clusters import Cluster
from integration.hdfs import Hdfs
from integration.waiting import wait_until

pytestmark = pytest.mark.topology(
    "logs come from other machines, by names that mean something there"
)

LINES = 100_000
FILES = ("stdout", "stderr", programs.EXTRA_FILE)


def expected_log(place: str, file: str, count: int = LINES) -> tuple[int, str]:
    """Length and digest of what the program `lines` writes."""
    return programs.digest(programs.lines(place, file, count if file == "stdout" else count // 10))


# Many lines.


def test_many_lines_from_several_nodes_arrive_whole(
    applications: Applications, cluster: Cluster
) -> None:
    """Bursts of thousands of lines a second, three files each, while the programs run."""
    nodes = cluster.nodes()
    instances = max(3, 2 * len(nodes))
    app = applications.submit(program("lines", LINES, 4, instances=instances))
    ending = finish(app, FILES)
    received = {key: programs.digest(iter([log])) for key, log in ending.logs.items()}
    assert received == {
        ("worker", rank, 1, file): expected_log(f"worker/{rank}", file)
        for rank in range(instances)
        for file in FILES
    }
    used = {container.node_id for container in ending.containers}
    # Which nodes grant is the scheduler's business: one that reports late may be left out.
    assert len(used) > 1 or len(nodes) == 1


def test_a_reader_that_comes_back_gets_the_rest(applications: Applications, hdfs: Hdfs) -> None:
    """It breaks off in mid-stream, again and again, and calls with the offsets it has reached."""
    app = applications.submit(program("lines", LINES, 6, instances=2))
    wait_for_states(app, 2, ContainerState.RUNNING)
    logs: dict[tuple[str, str], bytearray] = {}
    ended: set[tuple[str, str]] = set()
    breaks = 0
    with wire.trusted_channel(app, hdfs) as channel:
        while len(ended) < 4:
            request = pb.StreamLogsRequest(follow=True)
            for (container_id, name), data in logs.items():
                request.positions.add(
                    container_id=container_id, file_name=name, offset_bytes=len(data)
                )
            call = LogServiceStub(channel).StreamLogs(request, timeout=PATIENCE.total_seconds())
            received = 0
            for response in call:
                if response.HasField("end"):
                    assert response.end.incomplete_reason == ""
                    ended.add((response.end.container_id, response.end.file_name))
                    continue
                chunk = response.chunk
                log = logs.setdefault((chunk.container_id, chunk.file_name), bytearray())
                assert chunk.offset_bytes == len(log), "no byte twice, and none left out"
                assert 0 < len(chunk.data) <= 64 * 1024
                log += chunk.data
                received += len(chunk.data)
                if received > 500_000:
                    call.cancel()
                    breaks += 1
                    break
    assert breaks > 5
    places = {c.container_id: f"{c.service}/{c.rank}" for c in app.containers()}
    for (container_id, name), log in logs.items():
        assert programs.digest(iter([bytes(log)])) == expected_log(places[container_id], name)


def test_a_slow_reader_holds_up_nobody(applications: Applications, gate: Gate) -> None:
    app = applications.submit(
        {
            "writer": program("lines", LINES, 1, instances=3),
            "holder": program("wait", environment=gate.environment),
        }
    )
    wait_for_states(app, 4, ContainerState.RUNNING, ContainerState.SUCCEEDED)
    slow: dict[LogKey, bytearray] = {}
    fast: dict[LogKey, bytes] = {}
    with app.logs(follow=True) as stream:
        chunks = stream.chunks()
        first = next(chunks)  # and then no more: what it does not take waits where it was written
        reader = threading.Thread(
            target=lambda: fast.update(
                read_logs(
                    app,
                    services=["writer"],
                    follow=True,
                    containers=[c for c in app.containers() if c.service == "writer"],
                )
            )
        )
        reader.start()
        list_again_and_again(app)
        reader.join(PATIENCE.total_seconds())
        assert not reader.is_alive(), f"the fast reader waits\n{evidence.of(app)}"
        for rank in range(3):
            log = fast["writer", rank, 1, "stdout"]
            assert programs.digest(iter([log])) == expected_log(f"writer/{rank}", "stdout")
        gate.open()
        for chunk in itertools.chain([first], chunks):
            key = (chunk.service, chunk.rank, chunk.attempt_number, chunk.file)
            log_of_it = slow.setdefault(key, bytearray())
            assert chunk.offset_bytes == len(log_of_it), "twice or missing"
            log_of_it += chunk.data
    for key, log in fast.items():
        assert slow[key] == log, "the slow one then gets all of it, too"


def list_again_and_again(app: knit.Application) -> None:
    """None of these calls may wait for a reader of logs."""
    for _ in range(20):
        app.containers(timeout=timedelta(seconds=20))


@pytest.mark.one_machine("its length is what matters")
@pytest.mark.alone("keeps the disks and both ends busy for as long as it takes")
def test_a_log_of_500_megabytes_arrives_whole(applications: Applications, cluster: Cluster) -> None:
    if cluster.name == "external":
        pytest.skip("a log of this size may be more than somebody's cluster has room for")
    app = applications.submit(program("bulk", 500), linger=timedelta(minutes=2))

    def received() -> Iterator[bytes]:
        with app.logs(follow=True, files=["stdout"]) as stream:
            for chunk in stream.chunks():
                yield chunk.data

    assert programs.digest(received()) == programs.digest(programs.bulk(500))
    assert app.describe().attempt_number == 1, "the Application Master has survived it"


# A few lines: one application, most of whose containers have ended while it runs.

QUIET_LINES = 1000


@pytest.fixture(scope="module")
def quiet_gate(module_applications: Applications) -> Gate:
    return module_applications.gate()


@pytest.fixture(scope="module")
def quiet(module_applications: Applications, quiet_gate: Gate) -> knit.Application:
    """An application that will write no more: only `holder` still runs, and waits."""
    app = module_applications.submit(
        {
            "holder": knit.Service(
                f"seq {QUIET_LINES}; printf 'no newline'; python3 {PROGRAMS.name} wait >&2",
                resources=SMALL,
                environment=quiet_gate.environment,
                files=[PROGRAMS],
            ),
            "short": knit.Service(f"seq {QUIET_LINES}; printf 'no newline'", resources=SMALL),
            "binary": program("every-byte"),
            "silent": knit.Service(":", resources=SMALL),
            "failed": knit.Service(
                "echo out; echo err >&2; exit 1",
                resources=SMALL,
                failure_policy=FailurePolicy.FINISH_OTHERS,
            ),
        },
        linger=timedelta(minutes=2),
    )
    wait_for_states(app, 4, ContainerState.SUCCEEDED, ContainerState.FAILED)
    wait_for_text(app, "waits", 1, services=["holder"])
    return app


SEQUENCE = b"".join(b"%d\n" % number for number in range(1, QUIET_LINES + 1)) + b"no newline"


def test_logs_of_a_container_that_ended_long_before_are_whole(quiet: knit.Application) -> None:
    logs = read_logs(quiet)
    assert logs["short", 0, 1, "stdout"] == SEQUENCE
    assert logs["failed", 0, 1, "stdout"] == b"out\n"
    assert logs["failed", 0, 1, "stderr"] == b"err\n"
    assert not any(service == "silent" for service, *_ in logs)


def test_without_follow_a_running_container_is_read_to_where_it_is(
    quiet: knit.Application,
) -> None:
    logs = read_logs(quiet, services=["holder"])
    assert logs["holder", 0, 1, "stdout"] == SEQUENCE
    assert logs["holder", 0, 1, "stderr"] == b"holder/0 waits\n"


def test_bytes_that_are_no_text_arrive_as_they_are(quiet: knit.Application) -> None:
    logs = read_logs(quiet, services=["binary"])
    assert logs["binary", 0, 1, "stdout"] == programs.every_byte()


def test_a_last_line_without_a_newline_is_a_line(quiet: knit.Application) -> None:
    with quiet.logs(services=["short"]) as stream:
        lines = list(stream)
    assert len(lines) == QUIET_LINES + 1
    assert [line.text for line in lines[-2:]] == [str(QUIET_LINES), "no newline"]
    assert b"".join(line.data for line in lines) == SEQUENCE
    assert lines[1].offset_bytes == 2
    assert (lines[0].service, lines[0].rank, lines[0].attempt_number) == ("short", 0, 1)


@pytest.mark.parametrize("service", ["holder", "short"])
@pytest.mark.parametrize(
    ("tail_lines", "expected"),
    [
        (0, b""),
        (1, b"no newline"),
        (3, b"999\n1000\nno newline"),
        (QUIET_LINES + 1, SEQUENCE),
        (1_000_000, SEQUENCE),
    ],
)
def test_tail_begins_with_the_last_lines(
    quiet: knit.Application, service: str, tail_lines: int, expected: bytes
) -> None:
    logs = read_logs(quiet, services=[service], files=["stdout"], tail_lines=tail_lines)
    assert logs.get((service, 0, 1, "stdout"), b"") == expected


def test_one_containers_logs_can_be_followed_alone(quiet: knit.Application) -> None:
    """The stream ends by itself although the application goes on."""
    (short,) = quiet.containers(services=["short"])
    with short.logs(follow=True) as stream:
        assert b"".join(line.data for line in stream) == SEQUENCE


def test_log_files_are_listed_with_their_sizes(quiet: knit.Application) -> None:
    (short,) = quiet.containers(services=["short"])
    sizes = {file.name: file.size_bytes for file in quiet.log_files(short)}
    assert sizes["stdout"] == len(SEQUENCE)
    assert sizes["stderr"] == 0
    assert list(sizes) == sorted(sizes)


def test_a_file_that_never_comes_is_empty(quiet: knit.Application) -> None:
    assert read_logs(quiet, services=["short"], files=["no-such.log"]) == {}
    (short,) = quiet.containers(services=["short"])
    assert list(short.logs(files=["no-such.log"], follow=True)) == []


def test_unknown_containers_and_services_are_refused(quiet: knit.Application) -> None:
    refuses_what_is_not_there(quiet)
    with pytest.raises(knit.InvalidRequestError):
        list(quiet.logs(tail_lines=-1))


def test_a_reader_may_begin_anywhere_but_past_the_end(quiet: knit.Application, hdfs: Hdfs) -> None:
    (short,) = quiet.containers(services=["short"])
    container_id = short.container_id or ""

    def read_from(offset: int) -> bytes:
        request = pb.StreamLogsRequest(container_ids=[container_id], file_names=["stdout"])
        request.positions.add(container_id=container_id, file_name="stdout", offset_bytes=offset)
        responses = list(LogServiceStub(channel).StreamLogs(request, timeout=30))
        assert responses[-1].end.offset_bytes == len(SEQUENCE)
        return b"".join(response.chunk.data for response in responses)

    with wire.trusted_channel(quiet, hdfs) as channel:
        for offset in (0, 1, 1000, len(SEQUENCE) - 1, len(SEQUENCE)):
            assert read_from(offset) == SEQUENCE[offset:]
        for offset, status in (
            (len(SEQUENCE) + 1, grpc.StatusCode.OUT_OF_RANGE),
            (-1, grpc.StatusCode.INVALID_ARGUMENT),
        ):
            with pytest.raises(grpc.RpcError) as caught:
                read_from(offset)
            assert caught.value.code() is status


def test_logs_can_be_read_after_the_end(quiet: knit.Application, quiet_gate: Gate) -> None:
    """By somebody who comes only then, as long as the Application Master lingers."""
    quiet_gate.open()
    wait_until(
        lambda: quiet.report().state.is_final,
        what=f"YARN does not say that {quiet.application_id} has ended",
        timeout=PATIENCE,
        evidence=lambda: evidence.of(quiet),
    )
    assert quiet.report().final_status is FinalStatus.FAILED, "one of its containers failed"
    logs = read_logs(quiet, follow=True)
    assert logs["short", 0, 1, "stdout"] == SEQUENCE
    assert logs["holder", 0, 1, "stdout"] == SEQUENCE
    assert logs["holder", 0, 1, "stderr"] == b"holder/0 waits\nholder/0 goes on\n"
    assert logs["binary", 0, 1, "stdout"] == programs.every_byte()
    assert read_logs(quiet, services=["holder"], tail_lines=1)["holder", 0, 1, "stdout"] == (
        b"no newline"
    )
