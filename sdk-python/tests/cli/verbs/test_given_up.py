"""`knit run` that is interrupted before there is an application, as a process against a cluster."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fakes.cluster import FakeCluster
from tests.fakes.server import Answer, Request

ROOT = Path(__file__).parents[3]
HOME = "/user/alice"
WIDE_SECONDS = 40
"""Much less than what is waited for where nobody interrupts, which is two minutes."""
SCRIPT = (
    "import sys; from pathlib import Path; from knit._submission import submit; "
    "submit.JAR = Path(sys.argv.pop(1)); from knit.cli import main; sys.exit(main())"
)


@contextlib.contextmanager
def knit_run(cluster: FakeCluster, directory: Path) -> Iterator[subprocess.Popen[str]]:
    conf = cluster.write_configuration(directory / "conf")
    jar = directory / "knit-am.jar"
    jar.write_bytes(bytes(100_000))
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(jar), "run", "--conf", str(conf), "hostname"],
        cwd=ROOT,
        env={**os.environ, "HADOOP_USER_NAME": "alice", "PYTHONWARNINGS": "ignore"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def cluster() -> Iterator[FakeCluster]:
    with FakeCluster() as running:
        yield running


def asked(server: object, is_meant: Callable[[Request], bool], answer: Answer) -> threading.Event:
    """Has a server answer so to what is meant, from then on; set once it was asked twice."""
    twice = threading.Event()
    count = 0

    def answers(request: Request) -> Answer | None:
        nonlocal count
        if not is_meant(request):
            return None
        count += 1
        if count == 2:
            twice.set()
        return answer

    server.answers_with = answers  # type: ignore[attr-defined]
    return twice


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_while_data_nodes_are_waited_for_it_leaves_and_leaves_nothing(
    cluster: FakeCluster, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    said = "There are 0 datanode(s) running and 0 node(s) are excluded in this operation."
    waits = asked(
        cluster.name_node,
        lambda request: request.query.get("op") == "CREATE",
        Answer.error(403, "IOException", said),
    )
    with knit_run(cluster, tmp_path) as process:
        assert waits.wait(WIDE_SECONDS)
        process.send_signal(number)
        _, err = process.communicate(timeout=WIDE_SECONDS)
    assert process.returncode == code
    assert err.splitlines()[-1] == "knit: interrupted before the application was submitted"
    assert "Traceback" not in err
    assert not cluster.resource_manager.submissions
    assert [name for name in cluster.file_system.below(HOME) if ".part" in name] == []


def test_where_a_call_hangs_that_is_left_behind_and_told(
    cluster: FakeCluster, tmp_path: Path
) -> None:
    """A NameNode that takes a request and says nothing."""
    hangs, goes_on = threading.Event(), threading.Event()

    def silent(request: Request) -> Answer | None:
        if request.query.get("op") == "CREATE":
            hangs.set()
            goes_on.wait(WIDE_SECONDS)
        return None

    cluster.name_node.answers_with = silent
    try:
        with knit_run(cluster, tmp_path) as process:
            assert hangs.wait(WIDE_SECONDS)
            process.terminate()
            _, err = process.communicate(timeout=WIDE_SECONDS)
            assert process.returncode == 143
            assert not goes_on.is_set()
    finally:
        goes_on.set()
    assert "removed by a later submission" in err.splitlines()[-1] or (
        "before the application was submitted" in err.splitlines()[-1]
    )
    assert not cluster.resource_manager.submissions


def test_while_yarn_does_not_answer_the_submission_what_may_run_is_told(
    cluster: FakeCluster, tmp_path: Path
) -> None:
    waits = asked(
        cluster.resource_manager,
        lambda request: request.method == "POST" and request.path.endswith("/apps"),
        Answer.error(503, "RetriableException", "it is starting"),
    )
    with knit_run(cluster, tmp_path) as process:
        assert waits.wait(WIDE_SECONDS)
        process.terminate()
        _, err = process.communicate(timeout=WIDE_SECONDS)
    assert process.returncode == 143
    assert "Traceback" not in err
    assert "interrupted while application_1700000000000_0001 was submitted" in err.splitlines()[-1]
