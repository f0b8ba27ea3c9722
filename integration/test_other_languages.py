"""The contract serves more than Python."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import knit
import pytest

from integration.applications import Applications, Gate, program, wait_for_text
from integration.command_line import start

Command = Callable[[str, Path], Sequence[str]]
"""What starts a client that goes to an address with the keys of a directory."""


@pytest.fixture
def go() -> Command:
    """The program of `go-client`, where it was built."""
    client = os.environ.get("KNIT_GO_CLIENT")
    if not client:
        pytest.skip("KNIT_GO_CLIENT does not name the client in Go: there was no Go to build it")
    return lambda address, keys: [client, address, str(keys)]


@pytest.fixture
def javascript() -> Command:
    """With nothing but what `knit credentials` saves and the contract in the wheel."""
    client, node = os.environ.get("KNIT_NODE_CLIENT"), shutil.which("node")
    if not client or not node:
        pytest.skip("KNIT_NODE_CLIENT does not name the client in JavaScript, or there is no Node")
    contract = Path(knit.__file__).parent.parent
    return lambda _, keys: [node, client, str(keys), str(contract)]


@pytest.fixture(params=["go", "javascript"])
def command(request: pytest.FixtureRequest) -> Command:
    found: Command = request.getfixturevalue(request.param)
    return found


def test_a_client_lists_containers_and_follows_their_logs(
    command: Command, applications: Applications, gate: Gate, tmp_path: Path
) -> None:
    app = applications.submit(program("wait", instances=2, environment=gate.environment))
    wait_for_text(app, "waits", 2)
    endpoint = app.endpoint()
    ids = [container.container_id for container in app.containers()]
    with start(command(endpoint.address, endpoint.save(tmp_path))) as running:
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


def test_a_client_is_refused_with_the_keys_of_another_application(
    go: Command, applications: Applications, gate: Gate, tmp_path: Path
) -> None:
    service = program("wait", environment=gate.environment)
    first, second = applications.submit(service), applications.submit(service)
    wait_for_text(first, "waits", 1)
    with start(go(first.endpoint().address, second.endpoint().save(tmp_path))) as running:
        assert running.wait() == 1
    assert running.out == ""
