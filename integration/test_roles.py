"""Who may what on a cluster: what containers do from inside, and what a viewer is refused."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import knit
import pytest

from integration.applications import Applications, finish, program, wait_for_text
from integration.clusters import Cluster
from integration.clusters.embedded import EMBEDDED

#: gRPC reserves more address space than a small container may have.
LARGE = knit.Resources("512 MiB")

INSIDE = """
import json, os, sys
import knit

def refused(call):
    try:
        call()
    except knit.NotPermittedError as error:
        return str(error)
    return None

with knit.current() as me:
    app = me.application
    others = [c for c in app.containers() if c.container_id != me.container.container_id]
    print(json.dumps({
        "rank": me.container.rank,
        "ordinal": me.container.ordinal,
        "service": me.container.service,
        "memory_mib": me.container.memory_mib,
        "application": app.describe().application_id,
        "others": sorted(c.service for c in others),
        "shutdown": refused(app.stop),
        "stop another": refused(lambda: app.stop_containers(others)),
        "modes": sorted({oct(os.stat(os.path.join(os.environ["KNIT_CREDENTIALS"], name)).st_mode)
                         for name in os.listdir(os.environ["KNIT_CREDENTIALS"])}),
    }), flush=True)
    app.stop_containers([me.container.container_id])
"""


@pytest.fixture
def inside(tmp_path: Path, cluster: Cluster) -> dict[str, Any]:
    """What a service needs to run INSIDE with the knit of this process."""
    if cluster.name != EMBEDDED:
        pytest.skip("the Python of this process is in reach of containers on this machine only")
    script = tmp_path / "inside.py"
    script.write_text(INSIDE)
    path = os.pathsep.join([str(Path(knit.__file__).parents[1]), *filter(None, sys.path)])
    # As on a cluster whose configuration no container has.
    environment = {"PYTHONPATH": path, "HADOOP_CONF_DIR": "", "HADOOP_HOME": "/none"}
    return {"files": [script], "environment": environment}


def test_a_container_finds_its_application_and_may_what_containers_may(
    applications: Applications, inside: dict[str, Any]
) -> None:
    gate = applications.gate()
    app = applications.submit(
        {
            "waits": program("wait", environment=gate.environment),
            "inside": knit.Service(f"exec {sys.executable} inside.py", resources=LARGE, **inside),
        }
    )
    wait_for_text(app, "stop another", 1, services=["inside"])
    gate.open()
    ending = finish(app)
    said = json.loads(ending.text("inside"))
    assert said["application"] == app.application_id
    assert (said["service"], said["rank"], said["ordinal"]) == ("inside", 0, 0)
    assert said["memory_mib"] >= LARGE.memory_mib
    assert said["others"] == ["waits"]
    assert "Shutdown needs the role owner" in said["shutdown"]
    assert "may stop itself only" in said["stop another"]
    assert said["modes"] == ["0o100600"]
    [inside_container] = [c for c in ending.containers if c.service == "inside"]
    assert inside_container.state is knit.ContainerState.STOPPED, "it stopped itself"


def test_a_viewer_looks_and_is_refused_by_role(applications: Applications, tmp_path: Path) -> None:
    gate = applications.gate()
    app = applications.submit(program("wait", environment=gate.environment))
    wait_for_text(app, "waits", 1)
    keys = {
        role: app.endpoint(role=role).save(tmp_path / role.name)
        for role in (knit.Role.VIEWER, knit.Role.OPERATOR)
    }
    with knit.connect(keys[knit.Role.VIEWER]) as viewer:
        [container] = viewer.containers()
        assert container.state is knit.ContainerState.RUNNING
        assert any("waits" in line.text for line in container.logs())
        for call in (
            viewer.stop,
            lambda: viewer.stop_containers([container]),
            lambda: viewer.add_containers(1),
        ):
            with pytest.raises(knit.NotPermittedError, match="needs the role"):
                call()
    with knit.connect(keys[knit.Role.OPERATOR]) as operator:
        operator.add_containers(1)
        wait_for_text(app, "waits", 2)
        with pytest.raises(knit.NotPermittedError, match="Shutdown needs the role owner"):
            operator.stop()
    gate.open()
    assert finish(app).report.final_status is knit.FinalStatus.SUCCEEDED
