"""Talks by the system's own library, both ends of them, with tickets that are made here."""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from knit._cluster.security import gssapi
from knit._cluster.security.gssapi import ContextFlag, Credentials, GssError, SecurityContext
from knit._cluster.security.problems import kerberos_error
from knit._cluster.security.ticket_cache import default_cache
from knit._cluster.security.tickets import Tickets
from knit.exceptions import TicketExpiredError, TicketMissingError
from tests.fakes.realm import Acceptor, Realm, use_realm

ALL = (
    *(ContextFlag.MUTUAL, ContextFlag.REPLAY, ContextFlag.SEQUENCE),
    *(ContextFlag.INTEGRITY, ContextFlag.CONFIDENTIALITY),
)
FLAGS = ALL[0] | ALL[1] | ALL[2] | ALL[3] | ALL[4]


@pytest.fixture
def realm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Realm:
    realm = use_realm(monkeypatch, tmp_path)
    realm.write_cache("rm/localhost", "HTTP/localhost")
    realm.write_keytab("rm/localhost", "HTTP/localhost")
    return realm


def talk(flags: ContextFlag = FLAGS) -> tuple[SecurityContext, Acceptor]:
    """Both ends, which know each other."""
    client = SecurityContext("rm/localhost@EXAMPLE.COM", mechanism="krb5", flags=flags)
    server = Acceptor()
    assert client.step(server.step(client.step())) == b""
    return client, server


@pytest.mark.parametrize(
    ("mechanism", "target"), [("krb5", "rm/localhost@EXAMPLE.COM"), ("spnego", "HTTP@localhost")]
)
def test_both_ends_prove_who_they_are_in_one_question_and_its_answer(
    realm: Realm, mechanism: str, target: str
) -> None:
    client = SecurityContext(target, mechanism=mechanism)  # type: ignore[arg-type]
    server = Acceptor()
    question = client.step()
    assert not client.is_complete
    assert client.granted == ContextFlag(0)
    answer = server.step(question)
    assert server.is_complete
    assert client.step(answer) == b""
    assert client.is_complete
    assert client.granted & ContextFlag.MUTUAL


def test_another_servers_answer_proves_nothing(realm: Realm) -> None:
    client, other = (SecurityContext("HTTP@localhost") for _ in range(2))
    answer = Acceptor().step(other.step())
    client.step()
    with pytest.raises(GssError):
        client.step(answer)
    assert not client.is_complete


def test_who_is_done_says_no_more(realm: Realm) -> None:
    client, _ = talk()
    with pytest.raises(GssError, match="complete, and takes no more tokens"):
        client.step(b"more")


@pytest.mark.parametrize("confidential", [True, False])
def test_what_one_end_wraps_the_other_reads(realm: Realm, confidential: bool) -> None:
    client, server = talk()
    assert client.granted & FLAGS == FLAGS
    for one, other in ((client, server), (server, client)):
        for data in (b"", b"attack at dawn", os.urandom(100_000)):
            message = one.wrap(data, confidential=confidential)
            assert (data in message) == (not confidential or not data)
            copy = bytes(bytearray(message))
            assert other.unwrap(message) == (data, confidential)
            assert message == copy, "it was not decrypted in place"


def test_what_was_changed_repeated_or_left_out_is_not_taken(realm: Realm) -> None:
    client, server = talk()
    message = server.wrap(b"pay 10 to alice", confidential=False)
    with pytest.raises(GssError):
        client.unwrap(message.replace(b"alice", b"mario"))
    assert client.unwrap(message) == (b"pay 10 to alice", False)
    with pytest.raises(GssError, match="repeated"):
        client.unwrap(message)
    server.wrap(b"do not", confidential=False)
    with pytest.raises(GssError, match="left out"):
        client.unwrap(server.wrap(b"pay 10 to alice", confidential=False))


def test_of_a_talk_that_is_over_nothing_is_taken(realm: Realm) -> None:
    client, server = talk()
    message = server.wrap(b"late", confidential=False)
    client.close()
    with pytest.raises(GssError):
        client.unwrap(message)


@pytest.mark.parametrize("confidential", [True, False])
def test_as_much_as_is_said_fits_a_message(realm: Realm, confidential: bool) -> None:
    client, _ = talk()
    most = 4096
    size = client.wrap_size_limit(most, confidential=confidential)
    assert most - 200 < size < most
    assert len(client.wrap(bytes(size), confidential=confidential)) <= most


def test_a_ticket_says_whose_it_is_and_for_how_long(realm: Realm) -> None:
    realm.write_cache(ends=1800, renewable=7200)
    credentials = Credentials.default()
    assert credentials.principal == "alice@EXAMPLE.COM"
    now = datetime.now(timezone.utc)
    told = credentials.expires_at
    assert told is not None
    assert abs(told - now - timedelta(seconds=1800)) < timedelta(minutes=2)
    report = default_cache()
    assert report is not None
    assert (report.principal, report.problem, report.kind) == ("alice@EXAMPLE.COM", None, "FILE")
    assert report.expires_at is not None
    assert abs(report.expires_at - told) < timedelta(minutes=2)
    assert report.renewable_until is not None
    assert abs(report.renewable_until - now - timedelta(seconds=7200)) < timedelta(minutes=2)


def test_of_a_cache_the_ticket_counts_that_gets_all_others(realm: Realm) -> None:
    realm.write_cache("rm/localhost", ends=1800)
    report = default_cache()
    assert report is not None
    assert report.renewable_until is None
    realm.cache.write_bytes(realm.cache.read_bytes().replace(b"krbtgt", b"krbtgx"))
    assert default_cache() == type(report)(report.name, report.principal)


def test_a_ticket_that_has_ended_is_told_as_that(realm: Realm) -> None:
    realm.write_cache("HTTP/localhost", ends=-5)
    with SecurityContext("HTTP@localhost") as context, pytest.raises(GssError) as caught:
        context.step()
    assert type(kerberos_error(caught.value, "Asking")) is TicketExpiredError
    told = Credentials.default().expires_at
    assert told is not None
    assert told <= datetime.now(timezone.utc)


def test_tickets_stay_one_persons(realm: Realm) -> None:
    """A cache that has become somebody else's is none of ours."""
    tickets = Tickets()
    assert tickets.principal() == "alice@EXAMPLE.COM"
    assert tickets.expires_at() is not None
    context, token = tickets.begin("HTTP@localhost", "Asking")
    assert token
    context.close()
    realm.write_cache("HTTP/localhost", owner="bob")
    with pytest.raises(TicketMissingError, match="alice"):
        tickets.begin("HTTP@localhost", "Asking")
    assert tickets.principal() == "alice@EXAMPLE.COM"
    assert Tickets().principal() == "bob@EXAMPLE.COM"
    with pytest.raises(TicketMissingError, match="carol"):
        Tickets(principal="carol@EXAMPLE.COM").credentials("Asking").principal  # noqa: B018


def test_a_ticket_that_is_renewed_meanwhile_is_the_one_that_is_used(realm: Realm) -> None:
    realm.write_cache("HTTP/localhost", ends=-5)
    tickets = Tickets()
    realm.write_cache("HTTP/localhost")
    context, token = tickets.begin("HTTP@localhost", "Asking")
    with context:
        context.step(Acceptor().step(token))
        assert context.is_complete


def test_nothing_of_a_talk_is_left_in_memory(realm: Realm) -> None:
    def resident_kib() -> int:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") // 1024

    if not Path("/proc/self/statm").exists():
        pytest.skip("/proc is Linux's")

    def some(number: int) -> None:
        for _ in range(number):
            client, server = talk()
            client.unwrap(server.wrap(bytes(2000), confidential=True))
            default_cache()

    some(50)
    before, files = resident_kib(), len(os.listdir("/proc/self/fd"))
    some(300)
    assert resident_kib() - before < 2048
    assert len(os.listdir("/proc/self/fd")) <= files


def test_at_the_processs_end_no_talk_is_taken_from_a_thread_that_is_in_it(realm: Realm) -> None:
    client, _ = talk()
    assert not client._release.atexit
    assert client._release.alive
    client.close()
    assert not client._release.alive


def test_what_the_library_does_not_encrypt_is_not_sent(
    realm: Realm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one may whose other end has agreed on no more than checksums."""
    client, _ = talk()
    monkeypatch.setattr(gssapi, "call", lambda *_, **__: 0)
    assert client.wrap(b"hello", confidential=False) == b""
    with pytest.raises(GssError, match="did not encrypt"):
        client.wrap(b"hello", confidential=True)
