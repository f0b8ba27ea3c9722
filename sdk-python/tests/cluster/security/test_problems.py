"""What the library's refusals mean: by their codes, each with the command that mends it."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from knit._cluster.security import gssapi, problems
from knit._cluster.security.gssapi import GssError, GssLibraryError
from knit._cluster.security.problems import answered_error, kerberos_error
from knit.exceptions import (
    ClockSkewError,
    KdcUnreachableError,
    KerberosError,
    KerberosRequiredError,
    KeytabError,
    KnitError,
    ServerIdentityError,
    TicketExpiredError,
    TicketMissingError,
)
from tests.cluster.security.test_keytabs import entry, write

KRB5 = -1765328384
WHAT = "Asking for the queues"
SAID = "the library's own words"


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KRB5CCNAME", "KRB5_CONFIG", "KRB5_CLIENT_KTNAME"):
        monkeypatch.delenv(name, raising=False)


def error_of(number: int, major: int = gssapi.FAILURE, **more: str) -> KnitError:
    return kerberos_error(GssError(major, KRB5 + number, SAID), WHAT, **more)


@pytest.mark.parametrize(
    ("number", "kind", "says"),
    [
        (141, TicketMissingError, "Get one: kinit."),
        (195, TicketMissingError, "kinit"),
        (140, TicketMissingError, "export KRB5CCNAME=FILE:"),
        (199, TicketMissingError, "kdestroy"),
        (212, TicketMissingError, "kdestroy"),
        (32, TicketExpiredError, "what was waited for can be waited for again"),
        (37, ClockSkewError, "timedatectl"),
        (148, ClockSkewError, "timedatectl"),
        (33, ClockSkewError, "timedatectl"),
        (7, ServerIdentityError, "dns_canonicalize_hostname"),
        (46, ServerIdentityError, "could not prove"),
        (158, ServerIdentityError, "could not prove"),
        (154, KerberosError, r"[realms] of /etc/krb5.conf"),
        (156, KdcUnreachableError, "port 88"),
        (220, KdcUnreachableError, "port 88"),
        (6, KerberosError, "the KDC does not know"),
        (18, KerberosError, "kpasswd"),
        (23, KerberosError, "kpasswd"),
        (31, KerberosError, "kdestroy"),
        (135, KerberosError, "KRB5_CONFIG"),
        (136, KerberosError, "KRB5_CONFIG"),
        (224, KerberosError, "KRB5_CONFIG"),
        (60, KerberosError, "knit doctor"),
    ],
)
def test_each_code_has_its_error_and_its_remedy(
    number: int, kind: type[KnitError], says: str
) -> None:
    error = error_of(number, target="HTTP@rm.example")
    assert type(error) is kind
    assert error.message.startswith(f"{WHAT}: ")
    assert SAID in error.message
    assert says in error.message
    assert type(pickle.loads(pickle.dumps(error))) is kind


def test_a_malformed_krb5_conf_is_the_profile_librarys_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KRB5_CONFIG", "/some/krb5.conf")
    error = kerberos_error(GssError(gssapi.FAILURE, -1429577728 + 16, SAID), WHAT)
    assert "/some/krb5.conf cannot be used" in error.message


def test_the_major_status_says_it_where_the_mechanism_does_not() -> None:
    """MIT's library numbers an expired credential's minor status as a code of its own."""
    expired = kerberos_error(GssError(gssapi.CREDENTIALS_EXPIRED, 100001, SAID), WHAT)
    assert type(expired) is TicketExpiredError
    missing = kerberos_error(GssError(gssapi.NO_CREDENTIALS, 0, SAID), WHAT)
    assert type(missing) is TicketMissingError


def test_a_missing_library_is_told_with_the_package_of_each_distribution() -> None:
    error = kerberos_error(GssLibraryError("no GSSAPI library could be loaded"), WHAT)
    assert isinstance(error, KerberosRequiredError)
    for package in ("libgssapi-krb5-2", "krb5-libs", "zypper install krb5", "apk add"):
        assert package in error.message


def test_where_the_ticket_was_looked_for_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KRB5CCNAME", "KCM:")
    assert "KRB5CCNAME is KCM:" in error_of(141, gssapi.NO_CREDENTIALS).message
    monkeypatch.setenv("KRB5CCNAME", "NEWKIND:x")
    unknown = error_of(141, gssapi.NO_CREDENTIALS)
    assert "of a kind that the library here does not know" in unknown.message
    assert "NEWKIND:x" in unknown.message
    monkeypatch.delenv("KRB5CCNAME")
    monkeypatch.setenv("KRB5_CLIENT_KTNAME", "FILE:/a.keytab")
    assert "klist -kt /a.keytab" in error_of(141, gssapi.NO_CREDENTIALS).message
    named = error_of(141, gssapi.NO_CREDENTIALS, principal="alice@EXAMPLE.COM").message
    assert "alice@EXAMPLE.COM" in named or "KRB5_CLIENT_KTNAME" in named


class TestKeytabs:
    def test_that_cannot_be_read(self, tmp_path: Path) -> None:
        path = str(tmp_path / "none")
        error = error_of(195, keytab=path)
        assert type(error) is KeytabError
        assert f"{path} cannot be used (No such file or directory)" in error.message

    def test_of_somebody_else(self, tmp_path: Path) -> None:
        path = str(write(tmp_path / "k", entry("bob@EXAMPLE.COM", 1)))
        error = error_of(195, keytab=path, principal="carol@EXAMPLE.COM")
        assert type(error) is KeytabError
        assert "has no key of carol@EXAMPLE.COM; it has those of bob@EXAMPLE.COM" in error.message

    def test_of_whom_the_realm_is_left_out(self, tmp_path: Path) -> None:
        path = str(write(tmp_path / "k", entry("bob@EXAMPLE.COM", 1)))
        assert "gave no ticket for bob" in error_of(195, keytab=path, principal="bob").message

    def test_with_an_old_key(self) -> None:
        for number in (24, 31, 44):
            error = error_of(number, keytab="/a.keytab", principal="alice@EXAMPLE.COM")
            assert type(error) is KeytabError
            assert "klist -kt /a.keytab" in error.message
            assert "kvno alice@EXAMPLE.COM" in error.message

    def test_of_a_principal_that_is_gone(self) -> None:
        assert type(error_of(6, keytab="/a.keytab")) is KeytabError


@pytest.mark.parametrize(
    ("said", "kind", "remedy"),
    [
        (
            "GSSException: Failure unspecified at GSS-API level (Mechanism level: Clock skew too "
            "great (37))",
            ClockSkewError,
            "timedatectl",
        ),
        (
            "GSSException: Failure unspecified at GSS-API level (Mechanism level: Checksum failed)",
            ServerIdentityError,
            "keytab is older than the KDC's key",
        ),
        (
            "GSSException: Failure (Mechanism level: Specified version of key is not available "
            "(44))",
            ServerIdentityError,
            "kdestroy",
        ),
        ("GSSException: Defective token detected", KerberosError, "did not take our ticket"),
    ],
)
def test_what_a_server_says_of_our_ticket_is_understood(
    said: str, kind: type[KerberosError], remedy: str
) -> None:
    error = answered_error(said, WHAT, url="https://rm:8090/x", status=403)
    assert type(error) is kind
    assert remedy in error.message
    assert said in error.message
    assert (error.url, error.status) == ("https://rm:8090/x", 403)


def test_other_refusals_are_none_of_kerberos() -> None:
    assert answered_error("Forbidden (37)", WHAT, url="x", status=403) is None


def test_every_code_that_is_named_is_decided() -> None:
    named = {
        value
        for name, value in vars(problems).items()
        if name.isupper() and isinstance(value, int) and not name.startswith("_")
    } - {gssapi.CREDENTIALS_EXPIRED, gssapi.NO_CREDENTIALS}
    assert named == set(problems._BY_NUMBER)


def test_the_server_that_is_not_known_is_named() -> None:
    told = error_of(problems.SERVER_UNKNOWN, target="HTTP@web.example").message
    assert "the KDC knows no HTTP@web.example" in told
    assert "the KDC knows no such server" in error_of(problems.SERVER_UNKNOWN).message
