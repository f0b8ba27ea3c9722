"""The contract serves more than Python."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import knit
import pytest

from integration.applications import Applications, Gate, program, wait_for_text
from integration.command_line import start


@pytest.fixture(scope="module")
def go_client() -> str:
    """The program of `go-client`, where it was built."""
    path = os.environ.get("KNIT_GO_CLIENT")
    if not path:
        pytest.skip("KNIT_GO_CLIENT does not name the client in Go: there was no Go to build it")
    return path


def test_a_client_in_go_lists_containers_and_follows_their_logs(
    go_client: str, applications: Applications, gate: Gate, tmp_path: Path
) -> None:
    app = applications.submit(program("wait", instances=2, environment=gate.environment))
    wait_for_text(app, "waits", 2)
    endpoint = app.endpoint()
    keys = endpoint.save(tmp_path)
    ids = [container.container_id for container in app.containers()]
    with start([go_client, endpoint.address, str(keys)]) as running:
        running.wait_for_output("CONTAINER_STATE_RUNNING\n", len(ids))
        gate.open()
        assert running.wait() == 0, running.evidence()
    lines = running.out.splitlines()
    assert lines[:2] == [
        f"container worker {rank} {ids[rank]} CONTAINER_STATE_RUNNING" for rank in (0, 1)
    ]
    for rank in (0, 1):
        said = [line for line in lines if line.startswith(f"log worker {rank} ")]
        assert said == [f"log worker {rank} worker/{rank} {what}" for what in ("waits", "goes on")]
        length = sum(len(f"worker/{rank} {what}\n") for what in ("waits", "goes on"))
        assert f"end worker {rank} {length}" in lines


def test_a_client_in_go_is_refused_with_the_keys_of_another_application(
    go_client: str, applications: Applications, gate: Gate, tmp_path: Path
) -> None:
    service = program("wait", environment=gate.environment)
    first, second = applications.submit(service), applications.submit(service)
    wait_for_text(first, "waits", 1)
    keys = second.endpoint().save(tmp_path)
    done = subprocess.run(
        [go_client, first.endpoint().address, str(keys)], capture_output=True, timeout=120
    )
    assert done.returncode == 1
    assert done.stdout == b""


def test_a_client_in_javascript_lists_containers_and_follows_their_logs(
    applications: Applications, gate: Gate, tmp_path: Path
) -> None:
    """With nothing but what `knit credentials` saves and the contract in the wheel."""
    client, node = os.environ.get("KNIT_NODE_CLIENT"), shutil.which("node")
    if not client or not node:
        pytest.skip("KNIT_NODE_CLIENT does not name the client in JavaScript, or there is no Node")
    app = applications.submit(program("wait", instances=2, environment=gate.environment))
    wait_for_text(app, "waits", 2)
    keys = app.endpoint().save(tmp_path)
    ids = [container.container_id for container in app.containers()]
    contract = Path(knit.__file__).parent.parent
    with start([node, client, str(keys), str(contract)]) as running:
        running.wait_for_output("CONTAINER_STATE_RUNNING\n", len(ids))
        gate.open()
        assert running.wait() == 0, running.evidence()
    lines = running.out.splitlines()
    assert lines[:2] == [
        f"container worker {rank} {ids[rank]} CONTAINER_STATE_RUNNING" for rank in (0, 1)
    ]
    for rank in (0, 1):
        said = [line for line in lines if line.startswith(f"log worker {rank} ")]
        assert said == [f"log worker {rank} worker/{rank} {what}" for what in ("waits", "goes on")]
