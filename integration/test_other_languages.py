"""The contract serves more than Python."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import pytest

from integration.applications import Applications, Gate, program, wait_for_text
from integration.command_line import start


class Command(Protocol):
    """What starts a client that goes to an address with the keys of a directory."""

    def __call__(self, address: str, keys: Path, *arguments: str) -> Sequence[str]: ...


@pytest.fixture
def go() -> Command:
    """The program of `go-client`, where it was built."""
    client = os.environ.get("KNIT_GO_CLIENT")
    if not client:
        pytest.skip("KNIT_GO_CLIENT does not name the client in Go: there was no Go to build it")
    return lambda address, keys, *arguments: [client, address, str(keys), *arguments]


@pytest.fixture
def typescript() -> Command:
    """The program of `node-client`, where it was built. The address is in the directory, too."""
    client, node = os.environ.get("KNIT_NODE_CLIENT"), shutil.which("node")
    if not client or not node:
        pytest.skip("KNIT_NODE_CLIENT does not name the client in TypeScript, or there is no Node")
    return lambda _, keys, *arguments: [node, client, str(keys), *arguments]


@pytest.fixture(params=["go", "typescript"])
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
        running.wait_for_output("RUNNING\n", len(ids))
        gate.open()
        assert running.wait() == 0, running.evidence()
    lines = running.out.splitlines()
    assert lines[:2] == [f"container worker {rank} {ids[rank]} RUNNING" for rank in (0, 1)]
    for rank in (0, 1):
        said = [line for line in lines if line.startswith(f"log worker {rank} ")]
        assert said == [f"log worker {rank} worker/{rank} {what}" for what in ("waits", "goes on")]
        length = sum(len(f"worker/{rank} {what}\n") for what in ("waits", "goes on"))
        assert f"end worker {rank} {length}" in lines


def test_a_client_scales_writes_keys_and_ends_the_application_and_sees_it_all_happen(
    command: Command, applications: Applications, gate: Gate, tmp_path: Path
) -> None:
    app = applications.submit(program("wait", environment=gate.environment))
    wait_for_text(app, "waits", 1)
    endpoint = app.endpoint()
    keys = endpoint.save(tmp_path)

    def client(*arguments: str) -> Sequence[str]:
        return command(endpoint.address, keys, *arguments)

    def answer(*arguments: str) -> str:
        with start(client(*arguments)) as asking:
            assert asking.wait() == 0, asking.evidence()
        return asking.out

    with start(client("events")) as events, start(client("watch", "job/", "2")) as watch:
        events.wait_for_output("position ")
        watch.wait_for_output("watching after ")
        first = int(answer("put", "job/1", "one").removeprefix("revision "))
        answer("put", "elsewhere", "not seen")
        second = int(answer("put", "job/2", "two").removeprefix("revision "))
        assert watch.wait() == 0, watch.evidence()
        assert watch.out.splitlines()[1:] == ["put job/1 one", "put job/2 two"]
        assert second > first
        assert answer("scale", "worker", "2") == "service worker target 2\n"
        wait_for_text(app, "waits", 2)
        assert answer("shutdown") == "outcome SUCCEEDED\n"
        assert events.wait() == 0, events.evidence()
    seen = events.out.splitlines()
    states = ["REQUESTED", "LAUNCHING", "RUNNING", "STOPPING", "STOPPED"]
    of_the_new_one = [
        line.split()[-1] for line in seen if line.startswith("event container worker 1 ")
    ]
    assert list(dict.fromkeys(of_the_new_one)) == states
    assert any(
        line.startswith("event service worker ") and line.endswith(" target 2") for line in seen
    )


def test_a_client_is_refused_with_the_keys_of_another_application(
    go: Command, applications: Applications, gate: Gate, tmp_path: Path
) -> None:
    service = program("wait", environment=gate.environment)
    first, second = applications.submit(service), applications.submit(service)
    wait_for_text(first, "waits", 1)
    with start(go(first.endpoint().address, second.endpoint().save(tmp_path))) as running:
        assert running.wait() == 1
    assert running.out == ""
