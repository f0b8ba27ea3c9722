"""Who may what on a cluster: what containers do from inside, and what a viewer is refused."""

from __future__ import annotations

import base64
import json
import os
import re
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import grpc
import knit
import pytest
from knit._wire.statuses import from_rpc_error

from integration import wire
from integration.applications import (
    SMALL,
    Applications,
    finish,
    program,
    wait_for_states,
    wait_for_text,
)
from integration.clusters import Cluster
from integration.clusters.embedded import EMBEDDED
from integration.command_line import CommandLine

elsewhere = pytest.mark.topology("who calls is on another machine than who answers")

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
        "annotations": {n: v.decode() for n, v in app.annotations().items()},
        "seen": sorted(n for n, s in app.spec(with_values=True).services.items()
                       if any(s.environment.values())),
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
        },
        annotations={"ticket": "42"},
    )
    wait_for_text(app, "stop another", 1, services=["inside"])
    gate.open()
    ending = finish(app)
    said = json.loads(ending.text("inside"))
    assert said["application"] == app.application_id
    assert (said["service"], said["rank"], said["ordinal"]) == ("inside", 0, 0)
    assert said["memory_mib"] >= LARGE.memory_mib
    assert said["others"] == ["waits"]
    assert said["annotations"] == {"ticket": "42"}
    assert said["seen"] == ["inside"], "the variables of its own service"
    assert "Shutdown needs the role owner" in said["shutdown"]
    assert "may stop itself only" in said["stop another"]
    assert said["modes"] == ["0o100600"]
    [inside_container] = [c for c in ending.containers if c.service == "inside"]
    assert inside_container.state is knit.ContainerState.STOPPED, "it stopped itself"


def credentials(cluster: Cluster, app: knit.Application, role: str, directory: Path) -> Path:
    """What an owner hands out."""
    CommandLine(cluster).run(
        "credentials", app.application_id, "--role", role, "--out", str(directory)
    )
    return directory


@elsewhere
def test_a_viewer_looks_and_is_refused_by_role(
    applications: Applications, cluster: Cluster, tmp_path: Path
) -> None:
    gate = applications.gate()
    app = applications.submit(program("wait", environment=gate.environment))
    wait_for_text(app, "waits", 1)
    with knit.connect(credentials(cluster, app, "viewer", tmp_path / "viewer")) as viewer:
        [container] = viewer.containers()
        assert container.state is knit.ContainerState.RUNNING
        assert any("waits" in line.text for line in container.logs())
        for call in (
            viewer.stop,
            lambda: viewer.stop_containers([container]),
            lambda: viewer.add_containers(1),
        ):
            with pytest.raises(knit.NotPermittedError, match="needs the role") as caught:
                call()
            assert caught.value.reason == "PERMISSION_DENIED"
    with knit.connect(credentials(cluster, app, "operator", tmp_path / "operator")) as operator:
        operator.add_containers(1)
        wait_for_text(app, "waits", 2)
        with pytest.raises(knit.NotPermittedError, match="Shutdown needs the role owner"):
            operator.stop()
    gate.open()
    assert finish(app).report.final_status is knit.FinalStatus.SUCCEEDED


# What containers have, read from one.

SHOWS = """
cd "$KNIT_CREDENTIALS" && for file in *; do echo "$file $(base64 -w0 "$file")"; done
echo "that is all"; exec sleep 600
"""


def shown(app: knit.Application, directory: Path) -> Path:
    """The credentials of a container of the service `shows`, as its launch wrote them."""
    wait_for_text(app, "that is all", 1, services=["shows"])
    directory.mkdir()
    for line in app.logs(services=["shows"], files=["stdout"]):
        name, _, content = line.text.partition(" ")
        if name != "that":
            (directory / name).write_bytes(base64.b64decode(content))
    return directory


@elsewhere
def test_a_container_may_what_containers_may_until_it_ends(
    applications: Applications, tmp_path: Path
) -> None:
    services = {"shows": knit.Service(SHOWS, resources=SMALL), "other": knit.Service("sleep 600")}
    app = applications.submit(services)
    with knit.connect(shown(app, tmp_path / "container")) as me:
        found = {container.service: container for container in me.containers()}
        me.kv["key"] = b"value"
        assert me.kv["key"] == b"value"
        for call, reason in (
            (lambda: me.scale("other", 2), "PERMISSION_DENIED"),
            (me.stop, "PERMISSION_DENIED"),
            (lambda: me.stop_containers([found["other"]]), "NOT_YOURSELF"),
        ):
            with pytest.raises(knit.NotPermittedError) as caught:
                call()
            assert caught.value.reason == reason
        me.stop_containers([found["shows"]])
        wait_for_states(app, 1, knit.ContainerState.STOPPED, services=["shows"])
        with pytest.raises(knit.WrongStateError) as ended:
            me.containers()
        assert ended.value.reason == "CONTAINER_ENDED"


@elsewhere
def test_every_role_is_refused_what_the_table_does_not_give_it(
    applications: Applications, cluster: Cluster, tmp_path: Path
) -> None:
    app = applications.submit({"shows": knit.Service(SHOWS, resources=SMALL)})
    folders = {
        "container": shown(app, tmp_path / "container"),
        **{
            role: credentials(cluster, app, role, tmp_path / role)
            for role in ("viewer", "operator")
        },
    }
    permitted = table()
    assert len(permitted) >= 29
    for role, folder in folders.items():
        endpoint = knit.Endpoint.load(folder)
        refused = {call for call in permitted if refusal(endpoint, call) is not None}
        assert refused == {call for call, roles in permitted.items() if role not in roles}, role
    assert app.describe().state is knit.ApplicationState.RUNNING


def table() -> dict[str, set[str]]:
    """Who may make a call, as the contract's page says."""
    page = Path(__file__).parents[1] / "docs" / "contract.md"
    rows = re.findall(r"^\| `([\w.]+/\w+)` \|(.*)\|$", page.read_text(encoding="utf-8"), re.M)
    roles = ("owner", "operator", "viewer", "container")
    return {
        call: {role for role, cell in zip(roles, cells.split("|"), strict=True) if cell.strip()}
        for call, cells in rows
    }


def refusal(endpoint: knit.Endpoint, call: str) -> str | None:
    """Why a call is refused to who has these credentials; None: it is not, whatever comes of it."""
    method = call if call.startswith("grpc.") else f"knit.v1.{call}"
    keys = grpc.ssl_channel_credentials(endpoint.ca, endpoint.key, endpoint.cert)
    token = (("knit-token", endpoint.token),) if endpoint.token else ()
    with wire.channel(endpoint.address, keys) as channel:
        # Of one message, and of many: they are the same on the wire.
        stream: grpc.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(f"/{method}")
        try:
            next(stream(iter([b""]), metadata=token, timeout=10), None)
        except grpc.RpcError as error:
            meaning = from_rpc_error(error, f"Calling {call}", endpoint.address)
            if isinstance(meaning, knit.NotPermittedError):
                assert meaning.reason == "PERMISSION_DENIED", meaning
                return str(meaning)
        return None


@elsewhere
@pytest.mark.usefixtures("without_cluster")
def test_no_container_of_another_application_gets_in(
    applications: Applications, tmp_path: Path
) -> None:
    """A cluster would tell its credentials the way to its own Application Master."""
    gate = applications.gate()
    app = applications.submit({"shows": knit.Service(SHOWS, resources=SMALL)})
    mine = knit.Endpoint.load(shown(app, tmp_path / "mine"))
    knock = program("knock", mine.address, environment=gate.environment)
    other = applications.submit({"shows": knit.Service(SHOWS, resources=SMALL), "knock": knock})
    # From within, to its own and to this one.
    wait_for_text(other, "own True, other False", 1, services=["knock"])
    theirs = knit.Endpoint.load(shown(other, tmp_path / "theirs"))
    tried: list[tuple[knit.Endpoint, type[knit.KnitError], str | None]] = [
        (attrs.evolve(theirs, address=mine.address), knit.ConnectionLostError, None),
        (attrs.evolve(mine, cert=theirs.cert, key=theirs.key), knit.ConnectionLostError, None),
        (attrs.evolve(mine, token=theirs.token), knit.NotPermittedError, "TOKEN_REFUSED"),
        (attrs.evolve(mine, token=None), knit.NotPermittedError, "TOKEN_MISSING"),
    ]
    for endpoint, kind, reason in tried:
        folder = endpoint.save(tmp_path / "tried")
        with knit.connect(folder) as intruder, pytest.raises(kind) as caught:
            intruder.containers(timeout=timedelta(seconds=4))
        assert getattr(caught.value, "reason", None) == reason
    with knit.connect(mine.save(tmp_path / "tried")) as container:
        assert container.containers()
