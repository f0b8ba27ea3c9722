"""Applications of one user do not get in each other's way."""

from __future__ import annotations

import knit
import pytest
from knit import FinalStatus

from integration.applications import Applications, Gate, finish, program, wait_for_text

pytestmark = pytest.mark.topology("two Application Masters on two machines")


def test_two_applications_at_once_both_work(applications: Applications, gate: Gate) -> None:
    services = program("wait", instances=2, environment=gate.environment)
    first, second = applications.submit(services), applications.submit(services)
    for app in (first, second):
        wait_for_text(app, "waits", 2)
    held = [{c.container_id for c in app.containers()} for app in (first, second)]
    assert not held[0] & held[1]
    assert first.report().am_address != second.report().am_address

    second.stop()
    assert finish(second).report.final_status is FinalStatus.KILLED
    assert {c.state for c in first.containers()} == {knit.ContainerState.RUNNING}
    gate.open()
    assert finish(first).report.final_status is FinalStatus.SUCCEEDED


def test_another_process_of_the_user_can_take_over(
    applications: Applications, gate: Gate, config: knit.ClusterConfig, client: knit.Client
) -> None:
    """It needs no more than the application's ID."""
    app = applications.submit(program("wait", environment=gate.environment))
    app.close()
    user = app.report().user
    with knit.Client(config, user=user) as later, later.application(app.application_id) as again:
        wait_for_text(again, "waits", 1)
        found = {report.application_id for report in later.applications(name="test")}
        assert app.application_id in found
        gate.open()
        assert finish(again).text("worker") == "worker/0 waits\nworker/0 goes on\n"
