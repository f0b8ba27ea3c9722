"""What reaches YARN of a submission on a cluster with Kerberos, and what does not."""

from __future__ import annotations

import base64
import json
import logging
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from knit import ApplicationSpec, Client, Service
from knit._cluster.security.held_tokens import TOKEN_FILE_VARIABLE
from knit._cluster.security.tickets import Tickets
from knit._cluster.security.token_file import Credentials
from knit._cluster.security.tokens import Token
from knit._submission.am_container import LAUNCH_SECRET, ROLLED_LOGS, SPEC_SECRET
from knit.exceptions import SubmissionError, TicketMissingError
from knit.v1 import application_pb2
from tests.fakes.cluster import FakeCluster
from tests.fakes.tokens import Issuer, identifier

RM_SERVICE = "127.0.0.1:8032"
FS_SERVICE = "127.0.0.1:8020"


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCluster]:
    jar = tmp_path / "jar"
    jar.write_bytes(b"the jar")
    monkeypatch.setattr("knit._submission.submit.JAR", jar)
    monkeypatch.setenv("HADOOP_USER_NAME", "alice")
    with FakeCluster() as running:
        running.name_node.tokens = running.data_node.tokens = Issuer(
            "HDFS_DELEGATION_TOKEN", FS_SERVICE
        )
        yield running


@pytest.fixture
def tokens(fake: FakeCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Token]:
    """Those of a container without a ticket, from which is submitted."""
    assert fake.name_node.tokens is not None
    found = [
        fake.name_node.tokens.issue("alice", "rm"),
        Token(identifier("alice", "rm"), b"secret of the RM", "RM_DELEGATION_TOKEN", RM_SERVICE),
    ]
    path = tmp_path / "container_tokens"
    Credentials({token.service: token for token in found}).to_file(path)
    monkeypatch.setenv(TOKEN_FILE_VARIABLE, str(path))

    def missing(self: Tickets, what: str) -> None:
        raise TicketMissingError(f"{what}: there is no ticket.")

    monkeypatch.setattr(Tickets, "credentials", missing)
    return found


def client_of(fake: FakeCluster, **properties: str) -> Client:
    config = fake.config.with_properties(
        {
            "knit.door": "rest",
            "yarn.resourcemanager.principal": "rm/_HOST@EXAMPLE.COM",
            "yarn.resourcemanager.address": RM_SERVICE,
            **properties,
        }
    )
    return Client(config, timeout=timedelta(seconds=5))


KERBEROS = {"hadoop.security.authentication": "kerberos"}
SPEC = ApplicationSpec("demo", {"w": Service("c")})


def body_of(fake: FakeCluster) -> dict[str, Any]:
    [body] = fake.resource_manager.submissions.values()
    return body


def entries(body: dict[str, Any], kind: str) -> dict[str, str]:
    found = body["am-container-spec"]["credentials"].get(kind, {"entry": []})["entry"]
    return {entry["key"]: entry["value"] for entry in found}


def secret(body: dict[str, Any], name: str) -> bytes:
    return base64.urlsafe_b64decode(entries(body, "secrets")[name])


def test_tokens_travel_among_the_credentials_and_nobody_is_named(
    fake: FakeCluster, tokens: list[Token], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with client_of(fake, **KERBEROS) as client:
        client.submit(SPEC).close()
    body = body_of(fake)
    assert entries(body, "tokens") == {token.service: token.url_string() for token in tokens}
    # The container may submit another one, and YARN would end what it does that with.
    assert body["cancel-tokens-when-complete"] is False
    message = application_pb2.ApplicationSpec.FromString(secret(body, SPEC_SECRET))
    assert message.user_name == ""
    script = base64.b64decode(secret(body, LAUNCH_SECRET).strip().partition(b":")[2])
    assert b"HADOOP_USER_NAME" not in script.split(b"# Finds Java")[0]
    del body["am-container-spec"]["credentials"]
    shown = json.dumps(body) + caplog.text
    for token in tokens:
        assert token.url_string() not in shown
        assert token.password.decode() not in shown


def test_how_long_they_live_is_told(
    fake: FakeCluster, tokens: list[Token], caplog: pytest.LogCaptureFixture
) -> None:
    with client_of(fake, **KERBEROS) as client:
        client.submit(SPEC).close()
    assert "which are those of this container, end on" in caplog.text


def test_a_refused_renewal_is_told_as_the_submissions(
    fake: FakeCluster, tokens: list[Token], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.resource_manager.refused_queues = {"default"}
    with client_of(fake, **KERBEROS) as client:
        usual = fake.resource_manager.answer

        def refusing(request: Any) -> Any:
            answer = usual(request)
            for app in fake.resource_manager.applications.values():
                if app["state"] == "FAILED":
                    app["diagnostics"] = (
                        "Failed to renew token: Kind: HDFS_DELEGATION_TOKEN, "
                        f"Service: {FS_SERVICE}, Ident: (token for alice: ...)"
                    )
            return answer

        monkeypatch.setattr(fake.resource_manager, "answer", refusing)
        told = "could not renew the delegation token.* is what this container holds, issued on "
        with pytest.raises(SubmissionError, match=told):
            client.submit(SPEC)


def test_without_kerberos_a_name_goes_along_and_no_tokens(fake: FakeCluster) -> None:
    with client_of(fake) as client:
        client.submit(SPEC).close()
    body = body_of(fake)
    assert entries(body, "tokens") == {}
    assert "cancel-tokens-when-complete" not in body
    message = application_pb2.ApplicationSpec.FromString(secret(body, SPEC_SECRET))
    assert message.user_name == "alice"
    assert message.principal == ""


def test_only_complete_files_are_collected_from_programs_that_run(fake: FakeCluster) -> None:
    """Nodes remove what they collect, and a program goes on writing into what is gone."""
    with client_of(fake) as client:
        client.submit(SPEC).close()
    assert body_of(fake)["log-aggregation-context"] == {"rolled-log-include-pattern": ROLLED_LOGS}
    pattern = re.compile(ROLLED_LOGS)
    assert pattern.search("app.log.1.rolled")
    for open_file in ("stdout", "stderr", "app.log", "app.log.1", "rank.0", "x.rolled.tmp"):
        assert not pattern.search(open_file)
