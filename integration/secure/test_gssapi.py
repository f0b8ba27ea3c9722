"""What the system's GSSAPI says to a cluster, and the cluster to it."""

from __future__ import annotations

import base64
import re
import urllib.error
import urllib.request
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from knit._cluster.security.gssapi import (
    NO_CREDENTIALS,
    Credentials,
    GssError,
    SecurityContext,
)

from integration.clusters import rest
from integration.clusters.embedded import EmbeddedCluster
from integration.clusters.security import REALM

HOST = "HTTP@localhost"


def ask(cluster: EmbeddedCluster, url: str, token: bytes | None) -> tuple[int, bytes | None]:
    """The status of an answer, and the server's own token."""
    session = rest.Session(ca_file=cluster.ca_file)
    request = urllib.request.Request(url)
    if token is not None:
        value = f"Negotiate {base64.b64encode(token).decode()}"
        request.add_unredirected_header("Authorization", value)
    try:
        with session.open(request) as answer:
            status, headers = answer.status, answer.headers
    except urllib.error.HTTPError as error:
        with error:
            status, headers = error.code, error.headers
    found = re.search(r"Negotiate (\S+)", headers.get("WWW-Authenticate") or "")
    return status, None if found is None else base64.b64decode(found[1])


@pytest.fixture(params=["ResourceManager", "NameNode"])
def url(cluster: EmbeddedCluster, request: pytest.FixtureRequest) -> str:
    """Something that is told to whoever has proved a name."""
    if request.param == "NameNode":
        return f"{cluster.name_node_url}/webhdfs/v1/?op=GETFILESTATUS"
    return f"{cluster.active_resource_manager_url}/ws/v1/cluster/info"


def test_a_web_server_and_its_client_prove_each_other_who_they_are(
    cluster: EmbeddedCluster, url: str
) -> None:
    assert ask(cluster, url, None) == (401, None)
    with SecurityContext(HOST) as context:
        status, answer = ask(cluster, url, context.step())
        assert status == 200
        assert answer is not None
        assert not context.is_complete
        context.step(answer)
        assert context.is_complete


def test_a_token_is_good_once(cluster: EmbeddedCluster, url: str) -> None:
    with SecurityContext(HOST) as context:
        token = context.step()
    assert ask(cluster, url, token)[0] == 200
    assert ask(cluster, url, token)[0] == 403


def test_an_empty_cache_is_filled_by_the_keytab_of_the_environment(
    cluster: EmbeddedCluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{tmp_path / 'cache'}")
    for user in ("alice", "bob"):
        monkeypatch.setenv("KRB5_CLIENT_KTNAME", f"FILE:{cluster.keytab(user)}")
        monkeypatch.setenv("KRB5CCNAME", f"FILE:{tmp_path / user}")
        credentials = Credentials.default()
        assert credentials.principal == f"{user}@{REALM}"
        assert (tmp_path / user).exists()
    left = credentials.expires_at
    assert left is not None
    assert timedelta(hours=9) < left - datetime.now(timezone.utc) < timedelta(hours=11)


def test_a_keytab_that_is_named_needs_nothing_of_the_environment(
    cluster: EmbeddedCluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str
) -> None:
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{tmp_path / 'cache'}")
    monkeypatch.delenv("KRB5_CLIENT_KTNAME")
    credentials = Credentials.of_keytab(cluster.keytab("bob"))
    assert credentials.principal == f"bob@{REALM}"
    with SecurityContext(HOST, credentials=credentials) as context:
        assert ask(cluster, url, context.step())[0] == 200
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_to_be_had_without_ticket_and_keytab(
    cluster: EmbeddedCluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{tmp_path / 'cache'}")
    monkeypatch.setenv("KRB5_CLIENT_KTNAME", f"FILE:{tmp_path / 'none'}")
    with SecurityContext(HOST) as context, pytest.raises(GssError) as caught:
        context.step()
    assert caught.value.major == NO_CREDENTIALS


def test_a_server_that_the_kdc_does_not_know_is_named(cluster: EmbeddedCluster) -> None:
    with SecurityContext("HTTP@elsewhere") as context, pytest.raises(GssError) as caught:
        context.step()
    assert "not found in Kerberos database" in caught.value.text


def test_a_whole_principal_is_taken_as_it_is(cluster: EmbeddedCluster) -> None:
    """As RPC wants it: krb5.conf has no say in the server's name."""
    for name in ("rm", "nn"):
        with SecurityContext(f"{name}/localhost@{REALM}", mechanism="krb5") as context:
            assert context.step().startswith(b"\x60"), "not the first token of RFC 2743"
    elsewhere = SecurityContext(f"rm/localhost@{REALM}.ELSEWHERE", mechanism="krb5")
    with elsewhere, pytest.raises(GssError):
        elsewhere.step()
