"""What `knit doctor` says of Kerberos, with a cluster in reach and without."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import NoReturn

import pytest

from knit._cluster.configuration.config import ClusterConfig
from knit._cluster.security import ticket_cache, tickets
from knit._cluster.security.gssapi import CREDENTIALS_EXPIRED, FAILURE, GssError, GssLibraryError
from knit._cluster.security.ticket_cache import CacheReport
from knit._submission import kerberos_checks
from knit._submission.doctor import CheckResult, diagnose
from knit.exceptions import KerberosRequiredError, KeytabError, TicketExpiredError
from tests.cluster.security.test_keytabs import entry, write
from tests.fakes.cluster import FakeCluster

SERVER_UNKNOWN = -1765328377
TONIGHT = datetime.now(timezone.utc) + timedelta(hours=10)
OF_KERBEROS = {"kerberos library", "krb5.conf", "ticket"}


class FakeCredentials:
    """What the library says, or refuses."""

    ends: datetime | None = TONIGHT
    refusal: GssError | None = None

    def __init__(self, keytab: str | None = None, principal: str | None = None) -> None:
        self.wanted = principal

    @classmethod
    def default(cls, principal: str | None = None) -> FakeCredentials:
        return cls(None, principal)

    @classmethod
    def of_keytab(cls, path: str, principal: str | None = None) -> FakeCredentials:
        return cls(path, principal)

    @property
    def principal(self) -> str:
        if self.refusal is not None:
            raise self.refusal
        return self.wanted or "alice@EXAMPLE.COM"

    def _acquired(self, _: object) -> NoReturn:
        raise GssError(FAILURE, SERVER_UNKNOWN, "Server not found in Kerberos database")

    @property
    def expires_at(self) -> datetime | None:
        return self.ends


@pytest.fixture(autouse=True)
def library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> type[FakeCredentials]:
    """A machine with a library, a krb5.conf and a cache with a ticket."""
    fake = type("Fake", (FakeCredentials,), {})
    conf = tmp_path / "krb5.conf"
    conf.write_text("[libdefaults]\n")
    monkeypatch.setenv("KRB5_CONFIG", str(conf))
    monkeypatch.delenv("KRB5_CLIENT_KTNAME", raising=False)
    monkeypatch.delenv("HADOOP_PROXY_USER", raising=False)
    monkeypatch.setattr(tickets, "Credentials", fake)
    monkeypatch.setattr(kerberos_checks, "library_path", lambda: "/lib/libgssapi_krb5.so.2")
    monkeypatch.setattr(kerberos_checks, "default_realm", lambda: "EXAMPLE.COM")
    report = CacheReport(
        "KCM:1000",
        principal="alice@EXAMPLE.COM",
        expires_at=TONIGHT,
        renewable_until=TONIGHT + timedelta(days=7),
    )
    monkeypatch.setattr(kerberos_checks, "default_cache", lambda: report)
    return fake


@pytest.fixture
def nowhere() -> ClusterConfig:
    """A cluster with Kerberos that does not answer."""
    with FakeCluster() as fake:
        config = fake.config
    return config.with_properties({"hadoop.security.authentication": "kerberos"})


def results_of(config: ClusterConfig, **more: str) -> dict[str, CheckResult]:
    found = diagnose(config, timeout=timedelta(seconds=2), **more)
    return {result.name: result for result in found}


def test_all_of_it_is_named_though_no_cluster_answers(nowhere: ClusterConfig) -> None:
    results = results_of(nowhere)
    assert "/lib/libgssapi_krb5.so.2" in results["kerberos library"].message
    assert "its default realm is EXAMPLE.COM" in results["krb5.conf"].message
    ticket = results["ticket"]
    assert ticket.ok
    for words in (
        "alice@EXAMPLE.COM has a ticket until",
        f"{TONIGHT.astimezone():%Y-%m-%d %H:%M:%S}",
        "(renewable until",
        "KCM:1000 of the kind KCM",
    ):
        assert words in ticket.message
    # By our own rules, where nobody can be asked.
    assert results["user"].message == "The cluster knows alice@EXAMPLE.COM as alice."
    assert not results["resource manager"].ok


def test_a_cluster_without_kerberos_has_no_such_lines() -> None:
    with FakeCluster() as fake:
        results = results_of(fake.config, user="alice")
    assert not OF_KERBEROS & results.keys()
    assert "by simple authentication" in results["user"].message


def test_a_missing_library_ends_the_list(
    nowhere: ClusterConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> str:
        raise GssLibraryError("no GSSAPI library could be loaded")

    monkeypatch.setattr(kerberos_checks, "library_path", missing)
    *_, last = diagnose(nowhere)
    assert (last.name, last.ok) == ("kerberos library", False)
    assert isinstance(last.error, KerberosRequiredError)
    assert "libgssapi-krb5-2" in last.hint


def test_a_krb5_conf_that_cannot_be_read_is_named(
    nowhere: ClusterConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def malformed() -> str:
        raise ticket_cache.Krb5Error("Improper format of Kerberos configuration file")

    monkeypatch.setattr(kerberos_checks, "default_realm", malformed)
    *_, last = diagnose(nowhere)
    assert (last.name, last.ok) == ("krb5.conf", False)
    assert "krb5.conf cannot be read (Improper format" in last.message


def test_no_krb5_conf_is_no_failure(
    nowhere: ClusterConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KRB5_CONFIG", "/nonexistent/krb5.conf")
    monkeypatch.setattr(kerberos_checks, "default_realm", lambda: None)
    result = results_of(nowhere)["krb5.conf"]
    assert result.ok
    assert "There is no /nonexistent/krb5.conf" in result.message


def test_an_ended_ticket_is_told_with_its_cache(
    nowhere: ClusterConfig, library: type[FakeCredentials]
) -> None:
    library.refusal = GssError(CREDENTIALS_EXPIRED, 100001, "has expired")
    *_, last = diagnose(nowhere)
    assert (last.name, last.ok) == ("ticket", False)
    assert isinstance(last.error, TicketExpiredError)
    assert "KCM:1000" in last.message
    assert "kinit" in last.hint


def test_one_that_ends_soon_is_told(
    nowhere: ClusterConfig, library: type[FakeCredentials], tmp_path: Path
) -> None:
    library.ends = datetime.now(timezone.utc) + timedelta(minutes=20)
    assert "It ends soon: kinit" in results_of(nowhere)["ticket"].message
    keytab = str(write(tmp_path / "k", entry("alice@EXAMPLE.COM", 3)))
    assert "It ends soon" not in results_of(nowhere, keytab=keytab)["ticket"].message


def test_a_keytab_is_told_with_what_it_holds(nowhere: ClusterConfig, tmp_path: Path) -> None:
    path = str(write(tmp_path / "k", entry("alice@EXAMPLE.COM", 3), entry("bob@EXAMPLE.COM", 4)))
    found = results_of(nowhere, keytab=path, principal="bob@EXAMPLE.COM")["ticket"].message
    assert found.startswith("bob@EXAMPLE.COM has a ticket until")
    assert f"{path} with keys of alice@EXAMPLE.COM (kvno 3), bob@EXAMPLE.COM (kvno 4)" in found
    *_, last = diagnose(nowhere, keytab=tmp_path / "none")
    assert isinstance(last.error, KeytabError)
    assert "No such file or directory" in last.message


def test_whom_it_acts_for_is_told(nowhere: ClusterConfig) -> None:
    user = results_of(nowhere, user="bob")["user"]
    assert user.message == ("alice@EXAMPLE.COM acts for bob, which the cluster has to allow.")
