"""
No value of a service's variables, no key and no token is seen by another user of the cluster.

Who looks is another user of the operating system, from before the first container until after the
collected logs are there, and then every place of YARN and HDFS that answers to strangers.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
import tempfile
import urllib.error
import uuid
from pathlib import Path
from typing import Any

import attrs
import knit
import pytest

from integration.applications import SMALL, Applications, Ending, finish, program, wait_for_states
from integration.clusters import Cluster, rest
from integration.clusters.embedded import EmbeddedCluster
from integration.hdfs import Hdfs
from integration.waiting import wait_until
from integration.watch import (
    ANY_KEY,
    KEY_MARK,
    LOG_FILES,
    Watch,
    collected,
    read_all,
    seen_in,
    shown_by_yarn,
)
from integration.wire import Keys

STRANGER = "somebody-else"

SECRETS = {
    name: hashlib.sha256(name.encode()).hexdigest() for name in ("SHORT", "SLOW", "REPLACED")
}
# A long one travels otherwise than a short one where somebody thought of arguments.
SECRETS["LONG"] = hashlib.sha512(b"LONG").hexdigest() * 500

ANY_TOKEN = "a container's token"
#: As the tokens of one of the containers begin; how they go on nobody knows beforehand. In two
#: parts, for this file lies where everybody may read it.
TOKEN_MARK = "short/" + "0/1/"

SHOW_DIGEST = (
    'test -s "$KNIT_CREDENTIALS/token" -a -s "$KNIT_CREDENTIALS/key.pem" || exit 9; '
    'printf %s "$SECRET" | sha256sum; sleep 2'
)


def service(secret: str, **fields: Any) -> knit.Service:
    environment = {"SECRET": SECRETS[secret]}
    return knit.Service(SHOW_DIGEST, resources=SMALL, environment=environment, **fields)


pytestmark = pytest.mark.alone("it looks at every process and every file of the cluster")


@attrs.frozen
class Looked:
    """An application that somebody has looked at for all its life."""

    ending: Ending
    needles: dict[str, bytes] = attrs.field(repr=False)
    finds: list[dict[str, str]]
    processes: int
    files: list[str]
    shown: dict[str, bytes] = attrs.field(repr=False)
    """What YARN answers to a stranger while containers run and after their ends, by URL."""


@pytest.fixture(scope="module")
def slow_environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python environment that takes seconds to make fit, before any command runs."""
    directory = tmp_path_factory.mktemp("environment")
    for name, script in {"python": 'exec /bin/sh "$@"', "knit-unpack": "sleep 2"}.items():
        program = directory / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    archive = directory / "slow.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(directory / "bin", "bin")
    return archive


@pytest.fixture(scope="module")
def looked(
    module_applications: Applications, hdfs: Hdfs, cluster: Cluster, slow_environment: Path
) -> Looked:
    if not isinstance(cluster, EmbeddedCluster):
        pytest.skip("processes and disks of nodes are in reach with the embedded cluster only")
    gate = module_applications.gate()
    services = {
        "waits": program("wait", environment={**gate.environment, "SECRET": SECRETS["SHORT"]}),
        "short": service("SHORT", instances=2),
        "long": service("LONG"),
        "slow": service("SLOW", python_environment=slow_environment),
        "replaced": knit.Service(
            f'{SHOW_DIGEST}; [ "$KNIT_ATTEMPT_NUMBER" = 2 ]',
            resources=SMALL,
            environment={"SECRET": SECRETS["REPLACED"]},
            max_restarts=1,
        ),
    }
    needles = {name: secret.encode() for name, secret in SECRETS.items()}
    needles[ANY_TOKEN] = TOKEN_MARK.encode()
    own = str(cluster.directory)
    with Watch(needles, [own, tempfile.gettempdir()], own=own) as watch:
        # Who may look, as nobody else may where YARN's ACLs are on.
        viewers = knit.AccessControl(view_users=[STRANGER])
        app = module_applications.submit(services, access_control=viewers)
        keys = Keys.of(hdfs, app.application_id)
        wait_for_states(app, 5, knit.ContainerState.SUCCEEDED)
        stranger = rest.Session(STRANGER)
        shown = shown_by_yarn(stranger, cluster, app, app.containers())
        gate.open()
        ending = finish(app)
        shown |= shown_by_yarn(stranger, cluster, app, ending.containers)
        nodes = {container.node_id for container in ending.containers}
        wait_until(
            lambda: len(collected(hdfs, app.application_id)) >= len(nodes),
            what="the logs were not collected",
        )
    # The key that clients hold: it lies in HDFS, and nowhere else.
    [line, *_] = [line for line in keys.key.decode().splitlines() if "-----" not in line]
    needles |= {"key": line.encode(), ANY_KEY: KEY_MARK}
    return Looked(ending, needles, watch.finds, watch.processes, watch.files, shown)


def test_the_values_reach_the_programs(looked: Looked) -> None:
    """So what is found nowhere was really there."""
    assert looked.ending.report.final_status is knit.FinalStatus.SUCCEEDED
    attempts = {"short": 1, "long": 1, "slow": 1, "replaced": 2}
    for name, attempt in attempts.items():
        digest = hashlib.sha256(SECRETS[name.upper()].encode()).hexdigest()
        assert looked.ending.text(name, attempt=attempt).startswith(digest)


def test_no_other_user_of_a_node_sees_a_secret(looked: Looked) -> None:
    assert looked.finds == []
    assert looked.processes > 10, "it has looked at processes"
    if os.getuid() != 0:
        pytest.skip("as another user only where the suite runs as root; arguments were looked at")
    assert any(file.endswith("yarn-site.xml") for file in looked.files), (
        "and at the cluster's files"
    )


def test_yarn_shows_no_secret_to_a_stranger(looked: Looked) -> None:
    """What YARN itself writes beside a program's output included, such as its launch script."""
    for name in LOG_FILES:
        assert any(url.endswith(f"/{name}") for url in looked.shown), f"{name} was looked at"
    assert [url for url, data in looked.shown.items() if seen_in(data, looked.needles)] == []


def test_the_collected_logs_hold_no_secret(looked: Looked, hdfs: Hdfs) -> None:
    files = collected(hdfs, looked.ending.application_id)
    assert files
    for file in files:
        data = hdfs.read(file)
        assert b"launch_container.sh" in data, "what YARN writes itself is among it"
        assert seen_in(data, looked.needles) == [], file


def test_no_other_user_of_hdfs_sees_a_secret(looked: Looked, hdfs: Hdfs) -> None:
    stranger = hdfs.claiming(STRANGER)
    for_everybody = f"/tmp/{uuid.uuid4().hex}"
    hdfs.write(for_everybody, b"for everybody")
    read = set()
    for file, data in read_all(stranger):
        read.add(file)
        assert seen_in(data, looked.needles) == [], file
    hdfs.delete(for_everybody)
    assert for_everybody in read, "it has looked"
    with pytest.raises(urllib.error.HTTPError, match="403"):
        stranger.list(f"{hdfs.home}/.knit")
