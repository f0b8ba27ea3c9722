"""What containers wrote can be read after the end, too: all of it, as YARN's own command does."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import knit
import pytest
from knit import FailurePolicy
from knit._cluster.logs.yarn_command import logs_by_yarn

from integration import evidence, programs, yarn_command
from integration.applications import (
    PATIENCE,
    SMALL,
    Applications,
    Gate,
    LogKey,
    program,
    read_logs,
    refuses_what_is_not_there,
    wait_for_text,
)
from integration.clusters import Cluster
from integration.waiting import wait_until

pytestmark = pytest.mark.topology("each node writes a file, and here in the other format")

LINES = 100_000
FILES = ("stdout", "stderr", programs.EXTRA_FILE)
AT_ONCE = timedelta(0)
"""An Application Master that does not linger leaves as soon as its containers have ended."""


def ended(app: knit.Application) -> knit.Application:
    """The same application once its Application Master has left."""
    app.wait(timeout=PATIENCE)
    wait_until(
        lambda: has_left(app),
        what=f"the Application Master of {app.application_id} has not left",
        timeout=PATIENCE,
        evidence=lambda: evidence.of(app),
    )
    return app


def has_left(app: knit.Application) -> bool:
    try:
        app.describe(timeout=timedelta(seconds=5))
    except knit.ApplicationNotRunningError:
        return True
    except (knit.ConnectionLostError, knit.RpcTimeoutError):
        pass
    return False


def everything(logs: Mapping[str, knit.ContainerLogs]) -> dict[str, dict[str, bytes]]:
    """All files of all containers."""
    return {
        container_id: {file.name: container.read(file.name) for file in container.files}
        for container_id, container in logs.items()
    }


@pytest.fixture(scope="module")
def hadoop_home(
    cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path | None]:
    """Makes the cluster's own command the one that is found."""
    home = yarn_command.install(cluster, tmp_path_factory.mktemp("hadoop"))
    with pytest.MonkeyPatch.context() as patch:
        if home is not None:
            patch.setenv("HADOOP_HOME", str(home))
            patch.delenv("HADOOP_YARN_HOME", raising=False)
        yield home


def by_yarn(cluster: Cluster, application_id: str) -> dict[str, dict[str, bytes]]:
    """What the cluster's own command prints."""
    logs = logs_by_yarn(
        application_id, timeout=PATIENCE, conf_dir=cluster.conf_dir, user=cluster.user
    )
    if logs is None:
        pytest.skip("there is no yarn command to compare with")
    return everything(logs)


def test_containers_are_after_the_end_what_they_were(applications: Applications) -> None:
    gate = applications.gate()
    app = applications.submit(
        program("wait", instances=2, environment=gate.environment), linger=AT_ONCE
    )
    app.wait_until_ready(timeout=PATIENCE)
    app.restart_containers(services=["worker"])
    app.wait_until_ready(timeout=PATIENCE)

    def containers() -> dict[str | None, tuple[int | None, int | None, datetime | None]]:
        found = app.containers(timeout=PATIENCE)
        return {c.container_id: (c.ordinal, c.revision, c.ready_time) for c in found}

    before = containers()
    assert {ordinal for ordinal, _, _ in before.values()} == {0, 1, 2, 3}
    assert all(revision == 1 and ready for _, revision, ready in before.values())
    gate.open()
    ended(app)
    assert containers() == before


# One application on all nodes, which has ended.


@pytest.fixture(scope="module")
def finished(module_applications: Applications, cluster: Cluster) -> knit.Application:
    """100,000 lines and more from every container; one of them wrote nothing, one no text."""
    instances = max(3, 2 * len(cluster.nodes()))
    return ended(
        module_applications.submit(
            {
                "lines": program("lines", LINES, instances=instances),
                "binary": program("every-byte"),
                "silent": knit.Service(":", resources=SMALL),
                "failed": knit.Service(
                    "echo out; printf err >&2; exit 1",
                    resources=SMALL,
                    failure_policy=FailurePolicy.FINISH_OTHERS,
                ),
            },
            linger=AT_ONCE,
        )
    )


def expected_lines(rank: int, file: str) -> tuple[int, str]:
    count = LINES if file == "stdout" else LINES // 10
    return programs.digest(programs.lines(f"lines/{rank}", file, count))


@pytest.mark.usefixtures("hadoop_home")
def test_logs_are_byte_for_byte_what_the_yarn_command_prints(
    finished: knit.Application, cluster: Cluster
) -> None:
    """Every file of every container on every node, the Application Master's own included."""
    logs = finished.aggregated_logs(wait=PATIENCE)
    assert logs.incomplete_reason is None
    ours = everything(logs.containers)
    theirs = by_yarn(cluster, finished.application_id)
    assert {key: sorted(files) for key, files in ours.items()} == {
        key: sorted(files) for key, files in theirs.items()
    }
    for key, files in theirs.items():
        for name, content in files.items():
            assert ours[key][name] == content, f"{name} of {key} differs"
    used = {container.node_id for container in logs.containers.values()}
    assert used == {node.node_id for node in cluster.nodes()}


def test_many_lines_are_read_whole_after_the_end(
    finished: knit.Application, cluster: Cluster
) -> None:
    """By the interface that reads them while the programs run, under the same names."""
    received = read_logs(finished, follow=True, files=FILES)
    instances = max(3, 2 * len(cluster.nodes()))
    for rank in range(instances):
        for file in FILES:
            log = received["lines", rank, 1, file]
            assert programs.digest(iter([log])) == expected_lines(rank, file)
    assert received["binary", 0, 1, "stdout"] == programs.every_byte()
    assert received["failed", 0, 1, "stdout"] == b"out\n"
    assert received["failed", 0, 1, "stderr"] == b"err"
    assert not any(service in ("silent", "") for service, *_ in received)


def test_each_container_says_what_it_was(finished: knit.Application, cluster: Cluster) -> None:
    logs = finished.aggregated_logs(wait=PATIENCE)
    places = {(c.service, c.rank) for c in logs.containers.values() if not c.is_application_master}
    instances = max(3, 2 * len(cluster.nodes()))
    assert places == {
        *(("lines", rank) for rank in range(instances)),
        ("binary", 0),
        ("silent", 0),
        ("failed", 0),
    }
    [master] = [c for c in logs.containers.values() if c.is_application_master]
    assert b"Registered" in master.read("stderr")
    with finished.logs(containers=master.container_id, files=["stderr"]) as stream:
        assert b"".join(chunk.data for chunk in stream.chunks()) == master.read("stderr")


@pytest.mark.parametrize(
    ("tail_lines", "first"), [(0, None), (1, LINES - 1), (1000, LINES - 1000), (10 * LINES, 0)]
)
def test_tail_begins_with_the_last_lines_after_the_end(
    finished: knit.Application, tail_lines: int, first: int | None
) -> None:
    with finished.logs(
        services=["lines"], files=["stdout"], tail_lines=tail_lines, follow=True, timeout=PATIENCE
    ) as stream:
        received = [line for line in stream if line.rank == 0]
    numbers = range(first, LINES) if first is not None else range(0)
    assert [line.data for line in received] == [
        programs.line("lines/0", "stdout", number) for number in numbers
    ]
    assert all(end.is_complete for end in stream.ends.values())


def test_one_container_can_be_read_alone_after_the_end(finished: knit.Application) -> None:
    logs = finished.aggregated_logs(wait=PATIENCE)
    [binary] = [c for c in logs.containers.values() if c.service == "binary"]
    assert read_logs(finished, containers=[binary.container_id]) == {
        ("binary", 0, 1, "stdout"): programs.every_byte()
    }
    assert b"".join(binary.open("stdout", offset_bytes=300)) == programs.every_byte()[300:]
    sizes = {file.name: file.size_bytes for file in finished.log_files(binary.container_id)}
    assert sizes["stdout"] == len(programs.every_byte())
    assert sizes["stderr"] == 0


def test_unknown_containers_and_services_are_refused_after_the_end(
    finished: knit.Application,
) -> None:
    finished.aggregated_logs(wait=PATIENCE)
    refuses_what_is_not_there(finished)


def test_somebody_elses_logs_are_refused_with_a_reason(
    finished: knit.Application, config: knit.ClusterConfig
) -> None:
    finished.aggregated_logs(wait=PATIENCE)
    with knit.Client(config, user="mallory") as other:
        app = other.application(finished.application_id)
        with pytest.raises(knit.AccessDeniedError, match="may not be read by mallory"):
            app.aggregated_logs()


def test_an_application_that_nobody_knows_is_not_found(client: knit.Client) -> None:
    with pytest.raises(knit.ApplicationNotFoundError):
        list(client.application("application_1_0001").logs())


# How it ended does not matter.


def test_a_reader_does_not_notice_that_the_application_ends(
    applications: Applications, gate: Gate
) -> None:
    """The stream begins while it runs, and goes on where YARN has collected the rest."""
    app = applications.submit(
        {
            "lines": program("lines", LINES, 2),
            "holder": program("wait", "last", environment=gate.environment),
        },
        linger=AT_ONCE,
    )
    wait_for_text(app, "waits", 1, services=["holder"])
    received: dict[LogKey, bytes] = {}
    with app.logs(follow=True, timeout=PATIENCE) as stream:
        chunks = stream.chunks()
        first = next(chunks)  # and now the reader dawdles until it is all over
        received[first.service, first.rank, first.attempt_number, first.file] = first.data
        gate.open()
        ended(app)
        for chunk in chunks:
            key = (chunk.service, chunk.rank, chunk.attempt_number, chunk.file)
            assert chunk.offset_bytes == len(received.get(key, b"")), "twice or missing"
            received[key] = received.get(key, b"") + chunk.data
    log = received["lines", 0, 1, "stdout"]
    expected = programs.digest(programs.lines("lines/0", "stdout", LINES))
    assert programs.digest(iter([log])) == expected
    assert received["holder", 0, 1, "stdout"].endswith(b"holder/0 goes on last\n")
    assert stream.incomplete_reason is None
    assert all(end.is_complete for end in stream.ends.values())


@pytest.mark.usefixtures("hadoop_home")
def test_a_killed_application_leaves_its_logs(
    applications: Applications, gate: Gate, cluster: Cluster
) -> None:
    app = applications.submit(program("wait", environment=gate.environment, instances=3))
    wait_for_text(app, "waits", 3)
    app.kill()
    received = read_logs(app, follow=True)
    for rank in range(3):
        assert received["worker", rank, 1, "stdout"].startswith(f"worker/{rank} waits\n".encode())
    ours = everything(app.aggregated_logs(wait=PATIENCE).containers)
    assert ours == by_yarn(cluster, app.application_id)


def test_an_application_whose_application_master_crashed_leaves_its_logs(
    applications: Applications, gate: Gate, cluster: Cluster
) -> None:
    """Who follows them reads on where YARN has collected them, and so does who comes later."""
    app = applications.submit(
        {
            "worker": program("wait", environment=gate.environment),
            "assassin": program("signal-application-master", "KILL", instances=0),
        },
        max_attempts=1,
    )
    wait_for_text(app, "waits", 1)
    following: dict[LogKey, bytes] = {}
    # Of an assassin that was never launched YARN has no logs.
    of_worker: dict[str, Any] = {"services": ["worker"], "follow": True}
    reader = threading.Thread(target=lambda: following.update(read_logs(app, **of_worker)))
    reader.start()
    app.add_containers(4 * len(cluster.nodes()), service="assassin")  # one of them beside it
    report = app.wait(timeout=PATIENCE)
    assert report.state is knit.YarnState.FAILED
    reader.join(PATIENCE.total_seconds())
    assert not reader.is_alive(), evidence.of(app)
    for logs in (following, read_logs(app, **of_worker)):
        assert logs["worker", 0, 1, "stdout"].startswith(b"worker/0 waits\n")


@pytest.mark.one_machine("its length is what matters")
def test_memory_does_not_grow_with_the_log(applications: Applications, cluster: Cluster) -> None:
    """A process of its own reads 200 MB, and says how much memory it took at most."""
    if cluster.name == "external":
        pytest.skip("a log of this size may be more than somebody's cluster has room for")
    app = ended(applications.submit(program("bulk", 200), linger=AT_ONCE))
    app.aggregated_logs(wait=PATIENCE)
    script = (
        "import hashlib, resource, sys, knit\n"
        "client = knit.Client.from_config(sys.argv[1], user=sys.argv[2])\n"
        "app, sha, size = client.application(sys.argv[3]), hashlib.sha256(), 0\n"
        "app.aggregated_logs()\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "for chunk in app.logs(files=['stdout']).chunks():\n"
        "    sha.update(chunk.data); size += len(chunk.data)\n"
        "after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "print(size, sha.hexdigest(), before, after)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(cluster.conf_dir), cluster.user, app.application_id],
        capture_output=True,
        text=True,
        timeout=PATIENCE.total_seconds(),
    )
    assert done.returncode == 0, done.stderr
    size, digest, _, after = done.stdout.split()
    assert (int(size), digest) == programs.digest(programs.bulk(200))
    assert int(after) < 250 * 1024, "in KiB; a log of 200 MB is not held"
