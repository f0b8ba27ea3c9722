"""
No token, no key and no keytab is seen by another user, where Kerberos says who users are.

Who looks is another user of the operating system and another one of the cluster, who may view the
application, and so is shown the most; and who owns the nodes, for what lies there. What does not
come with Kerberos is looked at on the plain cluster (``test_secrets.py`` of the directory above).
"""

from __future__ import annotations

import os
import shlex
import stat
import urllib.error
import uuid
from pathlib import Path

import attrs
import knit
import pytest
from knit._cluster.security.token_file import Credentials

from integration.applications import PROGRAMS, SMALL, Applications, Ending, finish, wait_for_text
from integration.clusters.embedded import EmbeddedCluster
from integration.clusters.security import USERS
from integration.hdfs import Hdfs
from integration.waiting import wait_until
from integration.watch import (
    LOG_FILES,
    Watch,
    collected,
    heard,
    keys_in,
    passwords_of,
    read_all,
    seen_in,
    shown_by_yarn,
    walk,
)

STRANGER = USERS[1]
VALUE = "the-value-of-" + uuid.uuid4().hex
TOKEN_FILE = "container_tokens"
"""YARN's own file in a container's directory: what came with the submission, and YARN's tokens."""

# As a token goes on after its password, in a token file and in base64. In two parts, for this file
# may be looked at, too.
MARKS = {
    f"any {kind}": bytes([len(kind)]) + kind.encode()
    for kind in ("HDFS_" + "DELEGATION_TOKEN", "RM_" + "DELEGATION_TOKEN")
}
# As the tokens begin that knit gives its containers.
MARKS["a container's token"] = b"submits/" + b"0/1/"
# The client's own tokens, which travel in URLs.
WEB_MARK = {"a token of WebHDFS": b"WEBHDFS " + b"delegation"}

# Tokens grow old meanwhile.
pytestmark = pytest.mark.usefixtures("both")


@attrs.frozen
class Looked:
    """An application that somebody has looked at for all its life."""

    ending: Ending
    needles: dict[str, bytes] = attrs.field(repr=False)
    """All that nobody else may see."""
    kinds: set[str]
    """Of its tokens."""
    finds: list[dict[str, str]]
    files: list[str]
    shown: dict[str, bytes] = attrs.field(repr=False)
    """What YARN answers to who may view it, while containers run and after their ends, by URL."""
    on_node: dict[str, int]
    """Files on the nodes that held a secret while it ran, and their permissions."""
    staged: dict[str, list[str]]
    """What lay in HDFS for it while it ran, and which of the secrets are in there."""
    processes: list[str]
    """Those whose arguments or variables held one."""
    said: bytes = attrs.field(repr=False)
    """What the client has logged, at DEBUG."""


@pytest.fixture(scope="module")
def looked(cluster: EmbeddedCluster, module_applications: Applications, hdfs: Hdfs) -> Looked:
    keytab = cluster.keytab(cluster.user)
    needles = {"the value of a variable": VALUE.encode(), **keys_in(keytab.read_bytes()), **MARKS}
    gate = module_applications.gate()
    # Who has its token file looks at what lies beside it, and holds no other way in.
    seen = 'test -r "$HADOOP_TOKEN_FILE_LOCATION" -a -s "$KNIT_CREDENTIALS/token" || exit 9; '
    command = f"{seen}exec python3 {shlex.quote(PROGRAMS.name)} wait"
    services = {
        name: knit.Service(
            command,
            files=[PROGRAMS],
            environment={**gate.environment, "SECRET": VALUE},
            resources=SMALL,
            resource_manager_token=with_token,
        )
        for name, with_token in {"plain": False, "submits": True}.items()
    }
    own = str(cluster.directory)
    stranger = cluster.session(STRANGER)
    with Watch(needles, [own], own=own, of_own=list(MARKS)) as watch, heard() as records:
        app = module_applications.submit(
            services,
            keytab=str(keytab),
            access_control=knit.AccessControl(view_users=[STRANGER]),
        )
        wait_for_text(app, "waits", 2)
        held = held_by_application_master(cluster, app)
        needles |= passwords_of(held)
        watch.look_for(passwords_of(held))
        on_node = files_with(needles, cluster)
        staged = {
            path: seen_in(hdfs.read(path), needles)
            for path in walk(hdfs, f"{hdfs.home}/.knit/applications/{app.application_id}")
        }
        only_tokens = {name: each for name, each in needles.items() if each != VALUE.encode()}
        processes = processes_with(only_tokens)
        shown = shown_by_yarn(stranger, cluster, app, app.containers(), scheme="https")
        gate.open()
        ending = finish(app)
        shown |= shown_by_yarn(stranger, cluster, app, ending.containers, scheme="https")
        wait_until(lambda: collected(hdfs, app.application_id), what="the logs were not collected")
    return Looked(
        ending,
        needles,
        {token.kind for token in held.tokens.values()},
        watch.finds,
        watch.files,
        shown,
        on_node,
        staged,
        processes,
        "\n".join(records).encode(),
    )


def held_by_application_master(cluster: EmbeddedCluster, app: knit.Application) -> Credentials:
    """All that came with the submission, as its node has it."""
    pattern = f"nodemanager-*/local/usercache/*/appcache/{app.application_id}/*_000001/{TOKEN_FILE}"
    [file] = cluster.directory.glob(pattern)
    return Credentials.from_file(file)


def files_with(needles: dict[str, bytes], cluster: EmbeddedCluster) -> dict[str, int]:
    """The files below the nodes' directories that hold one of them, and their permissions."""
    found = {}
    for node in cluster.directory.glob("nodemanager-*/local"):
        for path in node.rglob("*"):
            try:
                status = path.stat()
                if not stat.S_ISREG(status.st_mode) or status.st_size > 1 << 20:
                    continue
                data = path.read_bytes()
            except OSError:
                continue  # it was there for a moment
            if seen_in(data, needles):
                found[str(path.relative_to(node))] = stat.S_IMODE(status.st_mode)
    return found


def processes_with(needles: dict[str, bytes]) -> list[str]:
    """The processes of this machine that show one to their owner, or to everybody."""
    found = []
    for kind in ("cmdline", "environ"):
        for path in Path("/proc").glob(f"[0-9]*/{kind}"):
            try:
                data = path.read_bytes()
            except OSError:
                continue
            if names := seen_in(data, needles):
                found.append(f"{kind} {data[:100]!r}: {names}")
    return found


def test_what_is_looked_for_was_there(looked: Looked) -> None:
    assert looked.ending.report.final_status is knit.FinalStatus.SUCCEEDED
    kinds = {"HDFS_DELEGATION_TOKEN", "RM_DELEGATION_TOKEN", "kms-dt", "YARN_AM_RM_TOKEN"}
    assert looked.kinds >= kinds
    assert any("keytab" in name for name in looked.needles)


def test_no_other_user_of_a_node_sees_a_secret(looked: Looked) -> None:
    assert looked.finds == []
    if os.getuid() != 0:
        pytest.skip("as another user only where the suite runs as root; arguments were looked at")
    assert any(file.endswith("yarn-site.xml") for file in looked.files), "it has looked at files"


def test_on_a_node_what_is_knits_own_is_for_its_owner_alone(looked: Looked) -> None:
    """YARN writes token files; their directories let no other user in."""
    own = {
        path: mode
        for path, mode in looked.on_node.items()
        if path.startswith("usercache/") and not path.endswith(f"/{TOKEN_FILE}")
    }
    assert {Path(path).name for path in own} >= {"token", "key.pem"}, "they are there"
    assert [path for path, mode in own.items() if mode & 0o077] == []


def test_no_token_is_among_any_processs_arguments_and_variables(looked: Looked) -> None:
    assert looked.processes == []


def test_yarn_shows_no_secret_to_who_may_view_the_application(looked: Looked) -> None:
    for end in (
        *(f"/{name}" for name in LOG_FILES),
        "/conf",
        f"/cluster/app/{looked.ending.application_id}",
    ):
        assert any(url.endswith(end) for url in looked.shown), f"{end} was not shown"
    assert [url for url, data in looked.shown.items() if seen_in(data, looked.needles)] == []


def test_the_collected_logs_hold_no_secret(looked: Looked, hdfs: Hdfs) -> None:
    files = collected(hdfs, looked.ending.application_id)
    assert files
    for file in files:
        assert seen_in(hdfs.read(file), looked.needles) == [], file


def test_no_other_user_of_hdfs_sees_a_secret(
    looked: Looked, cluster: EmbeddedCluster, hdfs: Hdfs
) -> None:
    stranger = attrs.evolve(hdfs, user=STRANGER, session=cluster.session(STRANGER))
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


def test_knit_itself_lays_no_secret_of_the_submission_into_hdfs(looked: Looked) -> None:
    assert looked.staged, "it has staged something"
    assert {path: names for path, names in looked.staged.items() if names} == {}


def test_the_client_logs_no_secret(looked: Looked) -> None:
    assert b"webhdfs/v1" in looked.said, "requests were logged"
    assert seen_in(looked.said, {**looked.needles, **WEB_MARK}) == []
