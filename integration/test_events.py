"""Events of an application, live over broken connections, and after its end."""

from __future__ import annotations

import threading
from pathlib import Path

import knit
import pytest
from knit import ApplicationState, ContainerState, EventKind, KeyChange

from integration import evidence
from integration.applications import PATIENCE, Applications, finish, program
from integration.relay import Relay
from integration.waiting import wait_until

pytestmark = pytest.mark.topology("containers are elsewhere than their Application Master")


def states(events: list[knit.Event], rank: int) -> list[ContainerState]:
    """What became of a rank, each state once."""
    found: list[ContainerState] = []
    for event in events:
        for container in event.containers:
            if container.rank == rank and container.state not in found:
                found.append(container.state)
    return found


def test_a_watch_tells_a_whole_life_once_and_in_order(applications: Applications) -> None:
    """From before there is an Application Master to its end; and the same is read afterwards."""
    gate = applications.gate()
    app = applications.submit(program("wait", instances=2, environment=gate.environment))
    events: list[knit.Event] = []
    with app.events(after=0, timeout=PATIENCE) as watch:
        for event in watch:
            events.append(event)
            running = ContainerState.RUNNING in states(events, 0) + states(events, 1)
            if running and not gate.is_open:
                assert watch._call is not None
                watch._call.cancel()  # as when the connection breaks
                gate.open()
    numbers = [event.sequence for event in events]
    assert numbers == sorted(set(numbers))
    for rank in range(2):
        found = states(events, rank)
        assert found[-1] is ContainerState.SUCCEEDED, found
        assert found.index(ContainerState.REQUESTED) < found.index(ContainerState.SUCCEEDED)
    ends = [c for e in events for c in e.changes if isinstance(c, knit.ApplicationStatus)]
    assert ends[-1].state is ApplicationState.ENDED
    app.release()
    app.wait(timeout=PATIENCE)
    past = wait_until(
        lambda: list(app.events(after=0)),
        what="the events were not collected",
        evidence=lambda: evidence.of(app),
    )
    assert past is not None
    collected = {event.sequence: event for event in past}
    for event in events:
        if event.containers:
            kept = collected[event.sequence].containers
            assert [(c.ref, c.state) for c in kept] == [(c.ref, c.state) for c in event.containers]


@pytest.mark.usefixtures("without_cluster")
def test_a_watch_goes_on_where_it_was_when_its_connection_breaks(
    applications: Applications, tmp_path: Path
) -> None:
    """Who knows no cluster knows no way but the one that breaks."""
    app = applications.submit(program("wait", environment=applications.gate().environment))
    app.wait_until_ready(timeout=PATIENCE)
    keys = app.endpoint(role=knit.Role.VIEWER).save(tmp_path / "keys")
    count, breaks = 400, (1, 100, 200)
    written: list[int] = []

    def write() -> None:
        for number in range(count):
            app.kv[f"{number:03}"] = b"a value"
            written.append(number)

    writer = threading.Thread(target=write)
    seen: list[KeyChange] = []
    begin = app.describe().position
    with (
        Relay(app.endpoint().address) as relay,
        knit.connect(keys, address=relay.address) as viewer,
        viewer.events(after=begin, kinds=[EventKind.KEY], timeout=PATIENCE) as watch,
    ):
        writer.start()
        for event in watch:
            seen += [change for change in event.changes if isinstance(change, KeyChange)]
            if len(seen) in breaks:
                relay.cut()
                missed = min(len(seen) + 50, count)
                wait_until(lambda: len(written) >= missed, what="nothing is written meanwhile")  # noqa: B023
                relay.mend()
            if len(seen) >= count:
                break
    writer.join()
    assert relay.connections > len(breaks)
    assert [change.key for change in seen] == [f"{number:03}" for number in range(count)]
    revisions = [change.revision for change in seen]
    assert revisions == sorted(set(revisions))


def test_another_process_goes_on_where_one_stood(applications: Applications) -> None:
    gate = applications.gate()
    app = applications.submit(program("wait", environment=gate.environment))
    app.wait_until_ready(timeout=PATIENCE)
    seen = app.snapshot()
    assert len(seen.containers) == 1
    app.scale("worker", 2)
    with applications.client.application(app.application_id) as other:
        for event in other.events(after=seen.position, timeout=PATIENCE):
            seen.apply(event)
            if len(seen.containers) == 2:
                break
    assert seen.services["worker"].target == 2
    with pytest.raises(knit.HistoryLostError):
        next(app.events(after=knit.Position(1, "another"), timeout=PATIENCE))
    gate.open()
    finish(app)


def test_what_there_is_ends_by_itself(applications: Applications) -> None:
    gate = applications.gate()
    app = applications.submit(program("wait", environment=gate.environment))
    app.wait_until_ready(timeout=PATIENCE)
    found = list(app.events(after=0, follow=False, kinds=[EventKind.CONTAINER], timeout=PATIENCE))
    assert states(found, 0)[-1] is ContainerState.RUNNING
    gate.open()
    finish(app)
