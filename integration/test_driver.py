"""A driver runs beside the Application Master, and its end is the application's."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import knit
import pytest
from knit import FinalStatus

from integration import evidence
from integration.applications import PATIENCE, SMALL, Applications, wait_for_states, wait_for_text
from integration.clusters import Cluster
from integration.clusters.embedded import EmbeddedCluster
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


SCALES = """
import json, os
import knit

with knit.current() as me:
    app = me.application
    app.scale("worker", 2)
    try:
        app.stop()
        refused = ""
    except knit.NotPermittedError as error:
        refused = str(error)
    folder = os.environ["KNIT_CREDENTIALS"]
    me.kv["seen"] = json.dumps({
        "application": app.application_id,
        "in_container": me.in_container,
        "target": app.services()[0].target,
        "stop": refused,
        "modes": sorted({oct(os.stat(path).st_mode) for path in
                         [folder, *(os.path.join(folder, name) for name in os.listdir(folder))]}),
        "files": sorted(os.listdir(folder)),
    }).encode()
    print("scaled", flush=True)
    me.kv.wait("done")
"""


def test_a_driver_reaches_its_application_and_may_what_its_access_says(
    applications: Applications, cluster: Cluster, tmp_path: Path
) -> None:
    """It scales a service, puts a key, is refused what owners may; and its logs go by its name."""
    if not isinstance(cluster, EmbeddedCluster):
        pytest.skip("the Python of this process is in reach of containers on this machine only")
    script = tmp_path / "scales.py"
    script.write_text(SCALES)
    path = os.pathsep.join([str(Path(knit.__file__).parents[1]), *filter(None, sys.path)])
    app = applications.submit(
        {"worker": knit.Service("sleep 600", resources=SMALL)},
        driver=knit.Driver(
            f"exec {sys.executable} scales.py",
            files=[script],
            environment={"PYTHONPATH": path, "HADOOP_CONF_DIR": "", "HADOOP_HOME": "/none"},
            access=knit.Access.OPERATOR,
        ),
        application_master=knit.Resources(memory="768 MiB", vcores=1),
    )
    wait_until(
        lambda: "seen" in app.kv,
        what="the driver has put no key",
        timeout=PATIENCE,
        evidence=lambda: evidence.of(app),
    )
    seen = json.loads(app.kv["seen"])
    assert seen["application"] == app.application_id
    assert (seen["in_container"], seen["target"]) == (False, 2)
    assert "this is the driver, which has the access operator" in seen["stop"]
    assert seen["modes"] == ["0o100600", "0o40700"]
    assert seen["files"] == [
        "address",
        "application_id",
        "ca.pem",
        "cert.pem",
        "key.pem",
        "server_name",
        "token",
    ]
    wait_for_states(app, 2, knit.ContainerState.RUNNING)
    assert app.master_container_id() == master_container(app)
    assert {f.name for f in app.log_files(app.master_container_id())} >= {"driver.stdout"}
    with app.logs(driver=True, follow=True) as stream:
        app.kv["done"] = b""
        assert [line.text for line in stream if line.file == "driver.stdout"] == ["scaled"]
    assert app.wait(timeout=PATIENCE).final_status is FinalStatus.SUCCEEDED
    with app.logs(driver=True, follow=True) as stream:
        assert [line.text for line in stream if line.file == "driver.stdout"] == ["scaled"]


def test_a_driver_alone_is_an_application(applications: Applications) -> None:
    app = applications.submit({}, driver=knit.Driver("true"), application_master=MASTER)
    assert app.wait(timeout=PATIENCE).final_status is FinalStatus.SUCCEEDED


def master_container(app: knit.Application) -> str:
    """The first one of the first attempt."""
    cluster, number = app.application_id.split("_")[1:]
    return f"container_{cluster}_{number}_01_000001"
