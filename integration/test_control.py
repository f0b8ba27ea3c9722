"""Services of a running application change as they are told to."""

from __future__ import annotations

from pathlib import Path

import attrs
import knit
import pytest
from knit import ContainerState, ExitReason, ServiceCondition

from integration import evidence
from integration.applications import PATIENCE, Applications, finish, program, wait_for_states
from integration.clusters import Cluster
from integration.command_line import CommandLine
from integration.waiting import wait_until

pytestmark = pytest.mark.topology("containers are elsewhere than their Application Master")


def running(app: knit.Application, service: str = "worker") -> list[knit.Container]:
    return app.containers(services=[service], states=[ContainerState.RUNNING])


def wait_for_running(app: knit.Application, count: int) -> list[knit.Container]:
    found = wait_until(
        lambda: c if len(c := running(app)) == count else None,
        what=f"not {count} containers were RUNNING",
        evidence=lambda: evidence.of(app),
    )
    assert found is not None
    return found


def test_a_service_is_scaled_and_its_ranks_are_filled_again(applications: Applications) -> None:
    gate = applications.gate()
    app = applications.submit(program("wait", instances=2, environment=gate.environment))
    (status,) = app.wait_until_ready("worker", timeout=PATIENCE)
    assert (status.condition, status.target, status.ready_count) == (
        *(ServiceCondition.READY, 2, 2),
    )
    scaled = app.scale("worker", delta=1)
    assert [c.rank for c in scaled.added] == [2]
    app.wait_until_ready(timeout=PATIENCE)
    first = next(c for c in running(app) if c.rank == 0)
    scaled = app.scale("worker", 2, victims=[first])
    assert [c.ref for c in scaled.stopped] == [first.ref]
    wait_for_running(app, 2)
    scaled = app.scale("worker", 3)
    assert [(c.rank, c.ordinal) for c in scaled.added] == [(0, 3)]
    wait_for_running(app, 3)
    gate.open()
    ending = finish(app)
    assert ending.exit("worker", 0, 1).reason is ExitReason.SCALED_DOWN
    assert ending.report.final_status is knit.FinalStatus.SUCCEEDED


def test_containers_are_restarted_at_their_ranks(applications: Applications) -> None:
    gate = applications.gate()
    app = applications.submit(program("wait", instances=2, environment=gate.environment))
    wait_for_states(app, 2, ContainerState.RUNNING)
    (next_one,) = app.restart_containers(running(app)[1:])
    assert (next_one.rank, next_one.attempt_number) == (1, 2)
    wait_for_running(app, 2)
    both = app.restart_containers(services=["worker"])
    assert sorted((c.rank, c.attempt_number) for c in both) == [(0, 2), (1, 3)]
    wait_for_running(app, 2)
    gate.open()
    ending = finish(app)
    assert {ending.exit("worker", 1, attempt).reason for attempt in (1, 2)} == {
        ExitReason.RESTARTED
    }
    assert ending.report.final_status is knit.FinalStatus.SUCCEEDED


def test_a_service_is_updated_rank_by_rank(applications: Applications) -> None:
    gate = applications.gate()
    service = program("wait", instances=2, environment=gate.environment)
    app = applications.submit(service)
    wait_for_states(app, 2, ContainerState.RUNNING)
    new = attrs.evolve(service, command=f"{service.command} # second")
    status = app.update_service("worker", new, from_revision=1)
    assert (status.revision, status.update is not None) == (2, True)
    status = app.wait_for_update("worker", timeout=PATIENCE)
    assert (status.revision, status.update) == (2, None)
    assert {c.revision for c in wait_for_running(app, 2)} == {2}
    gate.open()
    ending = finish(app)
    assert ending.exit("worker", 0, 1).reason is ExitReason.REPLACED


def test_services_are_added_and_removed(applications: Applications) -> None:
    gate = applications.gate()
    app = applications.submit(program("wait", environment=gate.environment))
    wait_for_states(app, 1, ContainerState.RUNNING)
    app.add_services({"second": program("wait", environment=gate.environment)})
    app.wait_until_ready(["second"], timeout=PATIENCE)
    with pytest.raises(knit.WrongStateError) as caught:
        app.add_services({"second": program("wait", environment=gate.environment)})
    assert caught.value.reason == "SERVICE_EXISTS"
    (removed,) = app.remove_services("second")
    assert removed.condition is ServiceCondition.REMOVED
    with pytest.raises(knit.ServiceNotFoundError):
        app.scale("nobody", 1)
    app.report_progress(0.5)
    assert app.describe().progress == 0.5
    wait_until(
        lambda: app.report().progress == 0.5,
        what="YARN was not told of the progress",
        evidence=lambda: evidence.of(app),
    )
    gate.open()
    assert finish(app).report.final_status is knit.FinalStatus.SUCCEEDED


def test_annotations_are_given_back_to_owners_only(
    applications: Applications, tmp_path: Path
) -> None:
    """As they are by now, and to containers: `test_roles` looks from inside."""
    app = applications.submit(
        program("wait", environment=applications.gate().environment),
        annotations={"ticket": "42", "bytes": b"\xff\0"},
    )
    wait_for_states(app, 1, ContainerState.RUNNING)
    assert app.annotations() == {"ticket": b"42", "bytes": b"\xff\0"}
    assert "annotations" in app.describe().features
    app.annotate({"ticket": None, "who": b"me"})
    assert app.annotations() == {"bytes": b"\xff\0", "who": b"me"}
    assert app.spec().annotations == {}
    with pytest.raises(knit.ResourceExhaustedError) as caught:
        app.annotate({"large": bytes(64 * 1024)})
    assert caught.value.reason == "ANNOTATIONS_TOO_LARGE"
    assert caught.value.facts["max_bytes"] == "65536"
    assert app.annotations() == {"bytes": b"\xff\0", "who": b"me"}
    keys = {
        role: app.endpoint(role=role).save(tmp_path / role.name)
        for role in (knit.Role.VIEWER, knit.Role.OPERATOR)
    }
    with knit.connect(keys[knit.Role.OPERATOR]) as operator:
        operator.annotate({"who": b"the operator"})
        with pytest.raises(knit.NotPermittedError):
            operator.annotations()
    with knit.connect(keys[knit.Role.VIEWER]) as viewer:
        assert viewer.spec().annotations == {}
        for call in (viewer.annotations, lambda: viewer.annotate({"who": None})):
            with pytest.raises(knit.NotPermittedError):
                call()
    assert app.annotations()["who"] == b"the operator"


def test_a_failure_is_explained_from_the_shell(
    applications: Applications, cluster: Cluster
) -> None:
    app = applications.submit(knit.Service("echo now it goes wrong >&2; exit 3"))
    finish(app)
    assert app.aggregated_logs(wait=PATIENCE).is_complete  # it waits for that itself, not so long
    done = CommandLine(cluster).run("explain", app.application_id)
    assert "worker/0 attempt 1 FAILED: exited, exit code 3" in done.out, done
    assert "stderr: now it goes wrong" in done.out, done
