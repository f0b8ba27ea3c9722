"""What ends within a minute on this cluster, and what goes on all the same."""

from __future__ import annotations

import base64
import urllib.error
import urllib.request
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from knit._cluster.security.gssapi import Credentials, SecurityContext

from integration.clusters import rest
from integration.clusters.embedded import EmbeddedCluster
from integration.hdfs import Hdfs
from integration.kinds import LIFETIMES
from integration.waiting import wait_until

PATIENCE = timedelta(minutes=2)

# They are to be old when these tests are over, which wait for the same.
pytestmark = pytest.mark.usefixtures("started")


def test_a_ticket_is_as_short_as_it_is_said_to_be(
    cluster: EmbeddedCluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert LIFETIMES.ticket is not None
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{tmp_path / 'cache'}")
    end = Credentials.default().expires_at
    assert end is not None
    left = end - datetime.now(timezone.utc)
    assert timedelta() < left <= timedelta(seconds=LIFETIMES.ticket)


def test_a_delegation_token_ends_unless_it_is_renewed(cluster: EmbeddedCluster, hdfs: Hdfs) -> None:
    """Of HDFS, without a renewer: nobody could prolong it."""
    base = f"{cluster.name_node_url}/webhdfs/v1"
    asked = f"{base}/?op=GETDELEGATIONTOKEN"
    token = hdfs.session.get(asked)["Token"]["urlString"]
    anybody = rest.Session(ca_file=cluster.ca_file)
    url = f"{base}/?op=GETFILESTATUS&delegation={token}"
    assert anybody.get(url)["FileStatus"]["type"] == "DIRECTORY"

    def refusal() -> str | None:
        try:
            anybody.get(url)
        except urllib.error.HTTPError as error:
            with error:
                return error.read().decode()
        return None

    said = wait_until(refusal, what="the token goes on for ever", timeout=PATIENCE)
    assert said is not None
    assert "expired" in said or "can't be found in cache" in said
    # Who has a ticket is not concerned.
    assert hdfs.exists(hdfs.home)


def test_a_cookie_ends(cluster: EmbeddedCluster) -> None:
    url = f"{cluster.active_resource_manager_url}/ws/v1/cluster/info"
    session = rest.Session(ca_file=cluster.ca_file)
    request = urllib.request.Request(url)
    with SecurityContext("HTTP@localhost") as context:
        token = base64.b64encode(context.step()).decode()
    request.add_unredirected_header("Authorization", f"Negotiate {token}")
    with session.open(request) as answer:
        (cookie,) = answer.headers.get_all("Set-Cookie")
    request = urllib.request.Request(url, headers={"Cookie": cookie.partition(";")[0]})
    with session.open(request) as answer:
        assert answer.status == 200

    def status() -> int | None:
        try:
            with session.open(request):
                return None
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    ended = wait_until(status, what="the cookie goes on for ever", timeout=PATIENCE)
    assert ended == 401


def test_nodes_outlive_the_keys_of_their_tokens(cluster: EmbeddedCluster) -> None:
    """The keys have rolled twice, and every node is still one of the cluster's."""
    assert LIFETIMES.key_roll is not None
    nodes = cluster.nodes()
    rolled = "Going to activate master-key"
    wait_until(
        lambda: cluster.said("resourcemanager").count(rolled) >= 4,
        what="the keys do not roll",
        timeout=timedelta(seconds=4 * LIFETIMES.key_roll + 60),
        evidence=cluster.evidence,
    )
    assert cluster.nodes() == nodes
