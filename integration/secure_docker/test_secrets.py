"""
No secret of an application is seen by another user, where hosts and users are real ones.

The application is that of a user of the trusted realm, whom the rules call otherwise, and has his
keytab, shipped by RPC. Who looks is another user of the operating system on each host, one of whom
is of the daemons' group; and another user of the cluster, who may view the application.
"""

from __future__ import annotations

import base64
import hashlib
import inspect
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import attrs
import knit
import pytest
from knit._cluster.security.token_file import Credentials

from integration import bystander
from integration.applications import wait_for_text
from integration.clusters.docker import NODES, SecureDockerCluster
from integration.clusters.docker_secure import CORPORATE_REALM
from integration.watch import (
    heard,
    keys_in,
    passwords_of,
    seen_in,
    shown_by_yarn,
)

KEYTAB = "corp-b.builder"
VIEWER = "alice"
LOOKERS = ("alice", "hdfs")
HOSTS = (*NODES, "resourcemanager", "namenode", "datanode")
WORK = "/var/lib/hadoop/yarn/local"
PATIENCE = timedelta(minutes=2)

# What of its own a container leaves open, in a file and in a command line: who looks has to see it.
LEAK = (
    'echo "$LEAK" > "/tmp/leak-$KNIT_RANK"; chmod 644 "/tmp/leak-$KNIT_RANK"; '
    'printf %s "$SECRET" | sha256sum; echo waits; exec -a "$LEAK" sleep 300'
)
LOOK = """
import os
given = json.loads(os.environ["GIVEN"])
looker = Bystander(decoded(given["needles"]), given["places"])
looker.look_at_processes()
looker.look_at_files()
print(json.dumps({"processes": len(looker.processes), "files": len(looker.files)}))
"""


@attrs.frozen
class Looked:
    """What was found while the application ran, and what is left of it."""

    secret: str = attrs.field(repr=False)
    report: knit.ApplicationReport
    needles: dict[str, bytes] = attrs.field(repr=False)
    finds: list[tuple[str, str, str, str]]
    """Who found what, on which host and where."""
    seen: list[tuple[str, str, int, int]]
    """Who has looked where, and at how many processes and files."""
    shown: dict[str, bytes] = attrs.field(repr=False)
    logs: dict[str, bytes] = attrs.field(repr=False)
    said: bytes = attrs.field(repr=False)
    """What its client has logged, at DEBUG."""
    traced: bytes = attrs.field(repr=False)
    """What a process with another client of it has said, gRPC's traces included."""


@pytest.fixture(scope="module")
def builder(cluster: SecureDockerCluster, config: knit.ClusterConfig) -> Iterator[knit.Client]:
    """A client of his, by RPC with privacy, for a keytab is shipped no other way here."""
    private = {"knit.door": "rpc", "hadoop.rpc.protection": "privacy"}
    with knit.Client(
        config.with_properties(private),
        keytab=cluster.keytab(KEYTAB),
        principal=f"b.builder@{CORPORATE_REALM}",
    ) as client:
        yield client


@pytest.fixture(scope="module")
def looked(cluster: SecureDockerCluster, builder: knit.Client) -> Looked:
    secret, leak = (f"{uuid.uuid4().hex}{uuid.uuid4().hex}" for _ in range(2))
    keytab = cluster.keytab(KEYTAB)
    service = knit.Service(
        LEAK,
        instances=2,
        environment={"SECRET": secret, "LEAK": leak},
        resources=knit.Resources(memory="128 MiB"),
    )
    spec = knit.ApplicationSpec(
        "secrets",
        {"w": service},
        keytab=str(keytab),
        access_control=knit.AccessControl(view_users=[VIEWER]),
    )
    with heard() as records, builder.submit(spec) as app:
        # Live, as who has a keytab in the submission reads them.
        wait_for_text(app, "waits", 2)
        needles = {
            "the value of a variable": secret.encode(),
            **keys_in(keytab.read_bytes()),
            **passwords_of(held_by_application_master(cluster, app)),
        }
        finds, seen = look(cluster, {**needles, "the leak": leak.encode()})
        shown = shown_by_yarn(cluster.session(VIEWER), cluster, app, app.containers())
        traced = described(cluster, app)
        app.stop(final_status=knit.FinalStatus.SUCCEEDED)
        app.release()
        report = app.wait()
        archive = app.aggregated_logs(wait=PATIENCE)
        logs = {
            f"{container.container_id} {file.name}": container.read(file.name)
            for container in archive.containers.values()
            for file in container.files
        }
    said = "\n".join(records).encode()
    return Looked(secret, report, needles, finds, seen, shown, logs, said, traced)


def described(cluster: SecureDockerCluster, app: knit.Application) -> bytes:
    """What `knit status` says, which reads the keys of the application from HDFS."""
    done = subprocess.run(
        [
            *(str(Path(sys.executable).parent / "knit"), "status", app.application_id),
            *("--keytab", str(cluster.keytab(KEYTAB))),
        ],
        env={**os.environ, "GRPC_VERBOSITY": "debug", "GRPC_TRACE": "api,channel,call_error"},
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def held_by_application_master(cluster: SecureDockerCluster, app: knit.Application) -> Credentials:
    """All that came with the submission, as its node has it."""
    of_app = f"{WORK}/usercache/bob/appcache/{app.application_id}"
    script = f"cat {of_app}/container_*_01_000001/container_tokens 2>/dev/null | base64 -w0"
    held = [cluster.on_host(node, ["sh", "-c", script], user="yarn") for node in NODES]
    [found] = filter(None, held)
    return Credentials.from_bytes(base64.b64decode(found))


def look(
    cluster: SecureDockerCluster, needles: dict[str, bytes]
) -> tuple[list[tuple[str, str, str, str]], list[tuple[str, str, int, int]]]:
    """What others find on each host."""
    encoded = {name: base64.b64encode(secret).decode() for name, secret in needles.items()}
    places = [WORK, "/var/lib/hadoop/yarn/logs", "/tmp", "/home", "/etc/security"]
    given = json.dumps({"needles": encoded, "places": places})
    source = inspect.getsource(bystander).partition("if __name__")[0] + LOOK
    finds, seen = [], []
    for host in HOSTS:
        for user in LOOKERS:
            command = ["python3", "-c", source]
            # What it looks for stands in its own environment, which is its user's alone.
            said = cluster.on_host(host, command, user=user, env={"GIVEN": given})
            *found, last = map(json.loads, said.splitlines())
            finds += [(user, each["what"], host, each["where"]) for each in found]
            seen.append((user, host, last["processes"], last["files"]))
    return finds, seen


def test_it_ran_as_who_the_rules_make_of_him_and_its_secret_was_there(looked: Looked) -> None:
    assert (looked.report.user, looked.report.final_status) == (
        "bob",
        knit.FinalStatus.SUCCEEDED,
    )
    digest = hashlib.sha256(looked.secret.encode()).hexdigest().encode()
    assert sum(text.startswith(digest) for text in looked.logs.values()) == 2
    assert {"the password of HDFS_DELEGATION_TOKEN", "the password of RM_DELEGATION_TOKEN"} <= {
        *looked.needles
    }
    assert any("keytab" in name for name in looked.needles)


def test_no_other_user_of_a_host_sees_one(looked: Looked) -> None:
    """But what the program itself leaves open: so they have looked."""
    leaks = {(user, where[:9]) for user, what, _, where in looked.finds if what == "the leak"}
    assert leaks == {(user, place) for user in LOOKERS for place in ("/tmp/leak", "cmdline: ")}, (
        looked.finds
    )
    assert [find for find in looked.finds if find[1] != "the leak"] == []
    assert {(user, host) for user, host, processes, _ in looked.seen if processes} == {
        (user, host) for user in LOOKERS for host in HOSTS
    }


def test_yarn_shows_none_to_who_may_view_it(looked: Looked) -> None:
    assert any(url.endswith("/launch_container.sh") for url in looked.shown)
    assert [url for url, data in looked.shown.items() if seen_in(data, looked.needles)] == []


def test_none_is_in_the_collected_logs(looked: Looked) -> None:
    assert any(name.endswith(" launch_container.sh") for name in looked.logs)
    assert [name for name, data in looked.logs.items() if seen_in(data, looked.needles)] == []


def test_none_is_logged_by_the_client(looked: Looked) -> None:
    assert b"webhdfs/v1" in looked.said, "requests were logged"
    assert seen_in(looked.said, looked.needles) == []


def test_none_is_logged_by_grpc(looked: Looked) -> None:
    assert b"grpc" in looked.traced, "it was traced"
    assert seen_in(looked.traced, looked.needles) == []
