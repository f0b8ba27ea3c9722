"""What an application that has been submitted waits for."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

import knit
from knit.cli._running.waiting import Waiting, unreachable
from knit.cli._terminal.progress import Progress

LIMIT = (
    "[Thu Nov 26 19:11:01 UTC 2026] Application is added to the scheduler and is not yet "
    "activated. Queue's AM resource limit exceeded.  Details : Queue AM Resource Usage = "
    "<memory:{}, vCores:1>;"
)


def report(diagnostics: str = "", *, running: int = 0) -> knit.ApplicationReport:
    return knit.ApplicationReport(
        application_id="application_1700000000000_0001",
        queue="adhoc",
        state=knit.YarnState.ACCEPTED,
        diagnostics=diagnostics,
        running_containers=running,
    )


@pytest.fixture
def said(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[[], list[str]]:
    """The lines on stderr; nobody is patient."""
    monkeypatch.setattr("knit.cli._running.waiting.PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr("knit.cli._running.waiting.NODES_SECONDS", -1.0)
    return lambda: capfd.readouterr().err.splitlines()


def test_yarns_reason_is_given_once_and_again_when_it_changes(
    said: Callable[[], list[str]],
) -> None:
    waiting = Waiting(Progress(), lambda: None)
    for memory in (512, 1024, 1536):  # what is in use is no other reason
        waiting.for_master(report(LIMIT.format(memory)))
    waiting.for_master(report("The queue is stopped."))
    first, second = said()
    assert first.startswith(
        "knit: waiting in queue adhoc: Application is added to the scheduler and is not yet "
        "activated. Queue's AM resource limit exceeded."
    ), "without the hour"
    assert second == "knit: waiting in queue adhoc: The queue is stopped."


def test_where_yarn_gives_no_reason_the_nodes_are_looked_at(
    said: Callable[[], list[str]],
) -> None:
    found: list[str | None] = [None, "The cluster has no running node (a:1 UNHEALTHY: disk)."]
    waiting = Waiting(Progress(), lambda: found.pop(0))
    waiting.for_master(report())
    waiting.for_master(report())
    assert said() == [
        "knit: waiting in queue adhoc: YARN gives no reason; `knit doctor` looks for some",
        "knit: waiting in queue adhoc: The cluster has no running node (a:1 UNHEALTHY: disk).",
    ]


def test_a_master_that_starts_is_told_from_one_that_is_queued(
    said: Callable[[], list[str]],
) -> None:
    Waiting(Progress(), lambda: None).for_master(report("AM container is launched", running=1))
    assert said() == ["knit: waiting for the Application Master to start: AM container is launched"]


def test_who_waits_a_moment_reads_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    Waiting(Progress(), lambda: None).for_master(report("It is full."))
    assert capfd.readouterr().err == ""


def test_a_port_that_refuses_is_unreachable_and_one_that_listens_is_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        assert unreachable(address) is None
    assert (found := unreachable(address)) is not None
    assert f"listens on {address}, which cannot be reached from here" in found.sentence
    assert not found.is_silent


def test_a_port_whose_packets_are_dropped_is_given_up_soon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its queue is full, and so the system drops what comes, as a firewall does."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        address = server.getsockname()
        waiting = [socket.socket() for _ in range(3)]
        try:
            for each in waiting:
                each.setblocking(False)
                each.connect_ex(address)
            found = unreachable(f"127.0.0.1:{address[1]}", 0.5)
        finally:
            for each in waiting:
                each.close()
    assert found is not None
    assert "no answer within 0.5 s" in found.sentence
    assert "--master-ports FIRST-LAST" in found.sentence
    assert found.is_silent
