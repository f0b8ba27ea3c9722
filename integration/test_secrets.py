"""
No value of a service's variables, no key and no token is seen by another user of the cluster.

Who looks is another user of the operating system, from before the first container until after the
collected logs are there, and then every place of YARN and HDFS that answers to strangers.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import knit
import pytest

from integration import bystander
from integration.applications import SMALL, Applications, Ending, finish, program, wait_for_states
from integration.clusters import Cluster
from integration.clusters.embedded import EmbeddedCluster
from integration.hdfs import Hdfs
from integration.waiting import wait_until
from integration.wire import Keys

NOBODY = 65534
STRANGER = "somebody-else"
LARGEST_FILE_BYTES = 4 << 20

SECRETS = {
    name: hashlib.sha256(name.encode()).hexdigest() for name in ("SHORT", "SLOW", "REPLACED")
}
# A long one travels otherwise than a short one where somebody thought of arguments.
SECRETS["LONG"] = hashlib.sha512(b"LONG").hexdigest() * 500

ANY_TOKEN = "a container's token"
#: As the tokens of one of the containers begin; how they go on nobody knows beforehand. In two
#: parts, for this file lies where everybody may read it.
TOKEN_MARK = "short/" + "0/1/"
ANY_KEY = "a private key"
KEY_MARK = "-----BEGIN PRIVATE KEY-----"

LOG_FILES = ("stdout", "stderr", "launch_container.sh", "directory.info", "prelaunch.out")
"""What nodes keep for each container by default, the last three of their own making."""

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
    needles: dict[str, str] = attrs.field(repr=False)
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
    with Watch(SECRETS, [str(cluster.directory), tempfile.gettempdir()]) as watch:
        # Who may look, as nobody else may where YARN's ACLs are on.
        viewers = knit.AccessControl(view_users=[STRANGER])
        app = module_applications.submit(services, access_control=viewers)
        keys = Keys.of(hdfs, app.application_id)
        wait_for_states(app, 5, knit.ContainerState.SUCCEEDED)
        shown = what_strangers_are_shown(app, cluster)
        gate.open()
        ending = finish(app)
        shown |= what_strangers_are_shown(app, cluster, ending.containers)
        nodes = {container.node_id for container in ending.containers}
        wait_until(
            lambda: len(collected(hdfs, app.application_id)) >= len(nodes),
            what="the logs were not collected",
        )
    # The key that clients hold: it lies in HDFS, and nowhere else.
    [line, *_] = [line for line in keys.key.decode().splitlines() if "-----" not in line]
    needles = {**SECRETS, "key": line, ANY_KEY: KEY_MARK, ANY_TOKEN: TOKEN_MARK}
    own = str(cluster.directory)
    finds = [
        each for each in watch.finds if each["what"] != ANY_KEY or each["where"].startswith(own)
    ]
    return Looked(ending, needles, finds, watch.processes, watch.files, shown)


class Watch:
    """Another user who looks at processes and files, for as long as the `with` block takes."""

    def __init__(self, needles: dict[str, str], places: list[str]) -> None:
        self._given = {
            "needles": {**needles, ANY_KEY: KEY_MARK, ANY_TOKEN: TOKEN_MARK},
            "places": places,
        }
        self.finds: list[dict[str, str]] = []
        self.processes = 0
        self.files: list[str] = []

    def __enter__(self) -> Watch:
        python = shutil.which("python3", path="/usr/bin:/bin:/usr/local/bin")
        assert python is not None, "no Python that every user may run"
        command = [python, "-c", inspect.getsource(bystander)]
        if os.getuid() == 0:
            who = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
            command = [*who, *command]
        else:
            # Of one's own files everything can be read, so only arguments say anything.
            self._given["places"] = []
        self._process = subprocess.Popen(
            command, cwd="/", text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(self._given) + "\n")
        self._process.stdin.flush()
        assert json.loads(self._process.stdout.readline())["user"] == (
            NOBODY if os.getuid() == 0 else os.getuid()
        )
        return self

    def __exit__(self, *exc_info: object) -> None:
        said, _ = self._process.communicate()
        *finds, seen = map(json.loads, said.splitlines())
        self.finds, self.processes, self.files = finds, seen["processes"], seen["files"]


def collected(hdfs: Hdfs, application_id: str) -> list[str]:
    """The files with the collected logs, all nodes' included."""
    files = [path for path in walk(hdfs, "/tmp/logs") if f"/{application_id}/" in path]
    return [] if any(path.endswith(".tmp") for path in files) else files


def walk(hdfs: Hdfs, directory: str) -> Iterator[str]:
    """All files that can be listed."""
    try:
        entries = hdfs.list(directory)
    except urllib.error.HTTPError:
        return
    for name, status in entries.items():
        path = f"{directory.rstrip('/')}/{name}"
        if status["type"] == "DIRECTORY":
            yield from walk(hdfs, path)
        else:
            yield path


def seen_in(data: bytes, looked: Looked) -> list[str]:
    return [
        name
        for name, secret in looked.needles.items()
        if any(disguise in data for disguise in bystander.disguises(secret.encode()))
    ]


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


def what_strangers_are_shown(
    app: knit.Application, cluster: Cluster, containers: list[knit.Container] | None = None
) -> dict[str, bytes]:
    apps = f"{cluster.resource_manager_url}/ws/v1/cluster/apps"
    urls = [apps, f"{apps}/{app.application_id}", f"{apps}/{app.application_id}/appattempts"]
    nodes = [f"http://{node.http_address}/ws/v1/node" for node in cluster.nodes()]
    for node in nodes:
        urls += [f"{node}/apps", f"{node}/containers"]
    shown = {url: data for url in urls if (data := read(url)) is not None}
    for container in containers or app.containers():
        node = f"http://{container.node_http_address}/ws/v1/node/containers"
        logs = f"{node}/{container.container_id}/logs"
        # Which of its files a node lists is gone once they are collected.
        for name in ("", *LOG_FILES):
            data = read(f"{logs}/{name}".rstrip("/"))
            if data is not None:
                shown[f"{logs}/{name}"] = data
    return shown


def test_yarn_shows_no_secret_to_a_stranger(looked: Looked) -> None:
    """What YARN itself writes beside a program's output included, such as its launch script."""
    for name in LOG_FILES:
        assert any(url.endswith(f"/{name}") for url in looked.shown), f"{name} was looked at"
    assert [url for url, data in looked.shown.items() if seen_in(data, looked)] == []


def test_the_collected_logs_hold_no_secret(looked: Looked, hdfs: Hdfs) -> None:
    files = collected(hdfs, looked.ending.application_id)
    assert files
    for file in files:
        data = hdfs.read(file)
        assert b"launch_container.sh" in data, "what YARN writes itself is among it"
        assert seen_in(data, looked) == [], file


def test_no_other_user_of_hdfs_sees_a_secret(looked: Looked, hdfs: Hdfs) -> None:
    stranger = hdfs.claiming(STRANGER)
    for_everybody = f"/tmp/{uuid.uuid4().hex}"
    hdfs.write(for_everybody, b"for everybody")
    read = set()
    for file in walk(stranger, "/"):
        try:
            data = stranger.read(file)
        except urllib.error.HTTPError:
            continue
        read.add(file)
        assert seen_in(data, looked) == [], file
    hdfs.delete(for_everybody)
    assert for_everybody in read, "it has looked"
    with pytest.raises(urllib.error.HTTPError, match="403"):
        stranger.list(f"{hdfs.home}/.knit")


def read(url: str) -> bytes | None:
    """What a stranger is answered; None where that is a refusal."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    separator = "&" if "?" in url else "?"
    request = urllib.request.Request(
        f"{url}{separator}user.name={STRANGER}", headers={"Accept": "application/json, */*;q=0.1"}
    )
    try:
        with opener.open(request, timeout=10) as response:
            return bytes(response.read(LARGEST_FILE_BYTES))
    except urllib.error.HTTPError:
        return None
