"""A driver runs beside the Application Master, and its end is the application's."""

from __future__ import annotations

import json

import knit
import pytest
from knit import FinalStatus

from integration import evidence
from integration.applications import PATIENCE, SMALL, Applications, wait_for_states, wait_for_text
from integration.waiting import wait_until

MASTER = knit.Resources(memory="512 MiB", vcores=1)

TELL = r"""python3 - <<'END'
import json, os, sys
print(json.dumps({n: v for n, v in os.environ.items() if n.startswith("KNIT_") or n == "MINE"}))
sys.stdout.flush()
END
"""

HOLD = r"""python3 - <<'END'
import os, time, urllib.request
while True:
    try:
        urllib.request.urlopen(os.environ["KNIT_TEST_GATE"], timeout=30)
        break
    except OSError:
        time.sleep(0.2)
END
"""


def test_a_container_is_told_who_and_where_it_is(applications: Applications) -> None:
    ending = applications.run(knit.Service(TELL, resources=SMALL))
    told = json.loads(ending.text("worker"))
    container = ending.container("worker")
    assert container.resources is not None
    host, port = told.pop("KNIT_AM_ADDRESS").rsplit(":", 1)
    assert host
    assert int(port) > 0
    assert told.pop("KNIT_CREDENTIALS").startswith("/")
    assert told == {
        "KNIT_APPLICATION_ID": ending.application_id,
        "KNIT_HISTORY_ID": told["KNIT_HISTORY_ID"],
        "KNIT_CONTAINER_ID": container.container_id,
        "KNIT_SERVICE_NAME": "worker",
        "KNIT_RANK": "0",
        "KNIT_ATTEMPT_NUMBER": "1",
        "KNIT_ORDINAL": "0",
        "KNIT_MEMORY_MIB": str(container.resources.memory_mib),
        "KNIT_VCORES": "1",
    }


def test_a_named_resource_that_the_cluster_lacks_is_refused_by_name(
    applications: Applications,
) -> None:
    app = applications.submit(knit.Service("sleep 600", resources=SMALL))
    wait_for_states(app, 1, knit.ContainerState.RUNNING)
    resources = knit.Resources(memory="64 MiB", vcores=1, others={"example.com/unknown": 1})
    with pytest.raises(knit.KnitError, match=r"'example\.com/unknown'"):
        app.add_containers(1, resources=resources)


def test_a_drivers_end_is_the_applications(applications: Applications) -> None:
    """It is heard live, has its variables, ends what still runs, and its last words are kept."""
    gate = applications.gate()
    command = f"{TELL}{HOLD}echo why >&2; exit 3"
    app = applications.submit(
        {"worker": knit.Service("sleep 600", resources=SMALL)},
        driver=knit.Driver(command, environment={"MINE": "it's", **gate.environment}),
        application_master=MASTER,
    )
    wait_for_states(app, 1, knit.ContainerState.RUNNING)
    master = master_container(app)
    wait_for_text(app, "KNIT_AM_ADDRESS", 1, containers=[master], files=["driver.stdout"])
    gate.open()
    wait_until(
        lambda: app.describe().state is knit.ApplicationState.ENDED,
        what="the driver has ended, and the application has not",
        timeout=PATIENCE,
        evidence=lambda: evidence.of(app),
    )
    outcome = app.describe().outcome
    assert outcome is not None
    assert (outcome.final_status, outcome.exit_code) == (FinalStatus.FAILED, 3)
    assert outcome.diagnostics == "The driver failed: exit code 3. why"
    files = ["driver.stdout", "driver.stderr"]
    with app.logs(containers=[master], files=files, follow=True) as stream:
        lines = {line.file: line.text for line in stream}
    assert lines["driver.stderr"] == "why"
    told = json.loads(lines["driver.stdout"])
    assert told["MINE"] == "it's"
    assert told["KNIT_APPLICATION_ID"] == app.application_id
    assert "KNIT_CONTAINER_ID" not in told
    app.release()
    assert app.wait(timeout=PATIENCE).final_status is FinalStatus.FAILED


def test_a_driver_alone_is_an_application(applications: Applications) -> None:
    app = applications.submit({}, driver=knit.Driver("true"), application_master=MASTER)
    assert app.wait(timeout=PATIENCE).final_status is FinalStatus.SUCCEEDED


def master_container(app: knit.Application) -> str:
    """The first one of the first attempt."""
    cluster, number = app.application_id.split("_")[1:]
    return f"container_{cluster}_{number}_01_000001"
