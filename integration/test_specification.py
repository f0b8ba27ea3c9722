"""What a specification asks of YARN is what YARN then says, on a cluster that enforces access."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import knit
import pytest
from knit import AccessControl, ApplicationSpec, FinalStatus, Resources, Service, YarnState

from integration.applications import PATIENCE, SMALL
from integration.clusters.embedded import EmbeddedCluster

WORKER = Service("exec sleep 600", resources=SMALL)
PROPERTIES = {
    "yarn.acl.enable": "true",
    "yarn.admin.acl": "nobody",
    # By default everybody administers every queue, and so each of its applications.
    "yarn.scheduler.capacity.root.acl_administer_queue": "nobody",
    "yarn.cluster.max-application-priority": "10",
    "yarn.resourcemanager.application-timeouts.monitor.interval-ms": "500",
}


pytestmark = pytest.mark.own_cluster("it enforces access, and has priorities")


@pytest.fixture(scope="module")
def strict() -> Iterator[EmbeddedCluster]:
    """A cluster whose users may not do everything."""
    with EmbeddedCluster(node_count=1, yarn=PROPERTIES) as running:
        yield running


def client_of(strict: EmbeddedCluster, user: str | None = None) -> knit.Client:
    return knit.Client(knit.ClusterConfig.from_directory(strict.conf_dir), user=user or strict.user)


@pytest.fixture
def client(strict: EmbeddedCluster) -> Iterator[knit.Client]:
    with client_of(strict) as opened:
        yield opened


def told(client: knit.Client, path: str) -> dict[str, Any]:
    """What the RM says, to its application's owner."""
    url = f"{client._cluster.resource_manager.address}/ws/v1/cluster/apps/{path}"
    with urllib.request.urlopen(f"{url}?user.name={client.user}", timeout=30) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def test_yarn_says_what_it_was_asked_for(strict: EmbeddedCluster, client: knit.Client) -> None:
    """And lets those do what they may who are named, and nobody else."""
    spec = ApplicationSpec(
        "specified",
        {"worker.of_One": WORKER},
        type="batch",
        priority=3,
        tags=["Nightly", "knit-test"],
        lifetime=timedelta(hours=1),
        max_attempts=2,
        attempt_failures_validity=timedelta(minutes=30),
        access_control=AccessControl(view_users=["eve"], modify_users=["ada", "bob"]),
        master_environment={"KNIT_TEST": "it's $HOME"},
        annotations={"a": b"\xff"},
    )
    with client.submit(spec) as app:
        try:
            found = told(client, app.application_id)["app"]
            assert found["applicationType"] == "batch"
            assert found["priority"] == 3
            assert {*found["applicationTags"].split(",")} == {"nightly", "knit-test"}
            limit = told(client, f"{app.application_id}/timeouts/LIFETIME")["timeout"]
            assert 3000 < limit["remainingTimeInSeconds"] <= 3600
            for user in ("mallory", "eve"):
                with client_of(strict, user) as other, pytest.raises(knit.AccessDeniedError):
                    other.application(app.application_id).kill()
            with client_of(strict, "ada") as other:
                other.application(app.application_id).kill()
            assert app.wait(timeout=PATIENCE).state is YarnState.KILLED
        finally:
            app.kill()


def test_what_was_submitted_comes_back_whole(client: knit.Client, tmp_path: Path) -> None:
    """But for what a submission makes of this machine's things."""
    script, data = tmp_path / "d.py", tmp_path / "data"
    script.write_text("import time\ntime.sleep(600)\n")
    data.mkdir()
    (data / "a.csv").write_text("1,2\n")
    spec = ApplicationSpec(
        "whole",
        {
            "store": Service("sleep 600", resources=SMALL, readiness=knit.Readiness(reported=True)),
            "worker.of_One": Service(
                "cat data/a.csv; sleep 600",
                instances=2,
                resources=SMALL,
                files=[data],
                environment={"TOKEN": "hunter2", "EMPTY": ""},
                depends=["store"],
                restart_budgets=[knit.RestartBudget(2, [knit.ExitReason.EXITED])],
                back_off=knit.BackOff(most=timedelta(), first=timedelta()),
                failure_policy=knit.FailurePolicy.FINISH_OTHERS,
                placement=knit.Placement(spread=knit.Spread.EVENLY),
                stop_grace=timedelta(seconds=30),
                allocation_limit=timedelta(hours=1),
                allocation_policy=knit.AllocationPolicy.GO_ON,
                update_policy=knit.UpdatePolicy(max_unavailable=1),
                access=knit.Access.OPERATOR,
            ),
        },
        type="batch",
        priority=3,
        tags=["Nightly"],
        lifetime=timedelta(hours=1),
        max_attempts=2,
        attempt_failures_validity=timedelta(minutes=30),
        attempt_policy=knit.AttemptPolicy.FAILURES,
        access_control=AccessControl(view_users=["eve"], modify_groups=["staff"]),
        application_master=Resources("512 MiB"),
        master_environment={"KNIT_TEST": "hunter2"},
        master_log_level=knit.LogLevel.DEBUG,
        linger=timedelta(seconds=20),
        annotations={"a": b"\xff", "b": "grün"},
        driver=knit.Driver("exec python3 d.py", files=[script], environment={"MINE": "hunter2"}),
        client_grants=[knit.ClientGrant("sha256:" + "0f" * 32, knit.Role.VIEWER)],
    )
    with client.submit(spec) as app:
        try:
            found = app.spec(with_values=True, timeout=PATIENCE)
            plain = app.spec()
        finally:
            app.kill()
    assert found.driver is not None
    assert spec.driver is not None
    staged = {
        "d.py": found.driver.files["d.py"],
        "data": found.services["worker.of_One"].files["data"],
    }
    assert all(file.source.startswith("hdfs://") for file in staged.values())
    # A directory travels as an archive that the node unpacks.
    assert [staged[name].archive for name in ("d.py", "data")] == [False, True]
    worker = attrs.evolve(spec.services["worker.of_One"], files={"data": staged["data"]})
    assert found == attrs.evolve(
        spec,
        services={**spec.services, "worker.of_One": worker},
        driver=attrs.evolve(spec.driver, files={"d.py": staged["d.py"]}),
    )
    assert "hunter2" not in plain.to_json()
    assert plain.annotations == {}
    assert plain.services.keys() == found.services.keys()


def test_yarn_ends_an_application_after_its_lifetime(client: knit.Client) -> None:
    spec = ApplicationSpec("short", {"worker": WORKER}, lifetime=timedelta(seconds=8))
    with client.submit(spec) as app:
        report = app.wait(timeout=PATIENCE)
    assert report.final_status is FinalStatus.KILLED
    assert report.start_time is not None
    assert report.finish_time is not None
    assert report.finish_time - report.start_time >= timedelta(seconds=8)
    assert "exceeded the lifetime" in report.diagnostics


def test_what_the_cluster_does_not_know_is_refused_by_name(client: knit.Client) -> None:
    """YARN itself takes an unknown resource, and drops it."""
    service = Service("true", resources=Resources("64 MiB", others={"yarn.io/gpu": 1}))
    with pytest.raises(knit.ResourcesUnavailableError, match="knows no such resource"):
        client.submit(ApplicationSpec("a", {"w": service}))
    with pytest.raises(knit.ResourcesUnavailableError, match=r"node_label: .* It has none"):
        client.submit(ApplicationSpec("a", {"w": WORKER}, node_label="gpu"))


def test_what_yarn_will_make_of_it_is_told_before(client: knit.Client) -> None:
    advice = client.check(
        ApplicationSpec(
            "a", {"w": WORKER}, priority=11, max_attempts=50, access_control=AccessControl()
        )
    )
    assert [sentence.partition(":")[0] for sentence in advice] == ["priority", "max_attempts"]
