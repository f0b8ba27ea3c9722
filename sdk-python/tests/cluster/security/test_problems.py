"""What the library's refusals mean: by their codes, each with the command that mends it."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from knit._cluster.security import gssapi, problems
from knit._cluster.security.gssapi import GssError, GssLibraryError
from knit._cluster.security.name_rules import rules_error
from knit._cluster.security.problems import answered_error, kerberos_error
from knit._cluster.security.short_names import ShortNames
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
        (154, KerberosError, r"krb5.conf"),
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


def test_a_kind_of_cache_that_nobody_serves_here_has_a_file_for_a_way_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KRB5CCNAME", "KCM:")
    assert "reaches no KCM either, use a file" in error_of(141, gssapi.NO_CREDENTIALS).message
    monkeypatch.setenv("KRB5CCNAME", "FILE:/tmp/none")
    assert "use a file" not in error_of(141, gssapi.NO_CREDENTIALS).message


def no_ticket(said: str) -> KnitError:
    """MIT's library tells of a cache that is none by its words alone."""
    return kerberos_error(GssError(gssapi.NO_CREDENTIALS, 0, said), WHAT)


def test_a_cache_that_is_none_is_told_from_one_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said = f"No Kerberos credentials available: Bad format in credentials cache ({tmp_path})"
    for name in (str(tmp_path), f"FILE:{tmp_path}"):
        monkeypatch.setenv("KRB5CCNAME", name)
        error = no_ticket(said)
        assert type(error) is TicketMissingError
        assert f"{name}, is a directory" in error.message
        assert f"DIR:{tmp_path} for a collection" in error.message
    monkeypatch.setenv("KRB5CCNAME", f"{tmp_path}/garbage")
    for words in (said, "Unsupported credentials cache format version number"):
        assert f"{tmp_path}/garbage, cannot be read" in no_ticket(words).message
    monkeypatch.delenv("KRB5CCNAME")
    assert "the cache of tickets cannot be read" in no_ticket(said).message


class TestKeytabOfTheEnvironment:
    def test_that_gave_none(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        path = write(tmp_path / "k", entry("bob@EXAMPLE.COM", 1), entry("al@EXAMPLE.COM", 1))
        monkeypatch.setenv("KRB5_CLIENT_KTNAME", f"FILE:{path}")
        error = error_of(141, gssapi.NO_CREDENTIALS)
        assert type(error) is TicketMissingError
        assert f"kinit -kt {path} bob@EXAMPLE.COM" in error.message
        named = error_of(141, gssapi.NO_CREDENTIALS, principal="al@EXAMPLE.COM")
        assert f"kinit -kt {path} al@EXAMPLE.COM" in named.message

    def test_that_cannot_be_read(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("KRB5_CLIENT_KTNAME", f"{tmp_path}/none")
        error = error_of(141, gssapi.NO_CREDENTIALS)
        assert type(error) is KeytabError
        assert f"{tmp_path}/none, cannot be used (No such file or directory)" in error.message

    def test_of_another_kind_is_left_to_the_library(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("KRB5_CLIENT_KTNAME", "MEMORY:x")
        assert type(error_of(141, gssapi.NO_CREDENTIALS)) is TicketMissingError

    def test_with_an_old_key(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        path = write(tmp_path / "k", entry("bob@EXAMPLE.COM", 1))
        monkeypatch.setenv("KRB5_CLIENT_KTNAME", str(path))
        assert "kvno bob@EXAMPLE.COM the KDC's" in error_of(24).message


def test_a_krb5_conf_that_is_not_there_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KRB5_CONFIG", f"{tmp_path}/a:{tmp_path}/b")
    assert f"there is no {tmp_path}/a nor {tmp_path}/b" in error_of(154).message
    (tmp_path / "b").touch()
    assert f"[realms] of {tmp_path}/a:{tmp_path}/b" in error_of(154).message


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


def test_a_missing_trust_between_realms_is_not_taken_for_a_wrong_host_name() -> None:
    said = "Server krbtgt/KNIT.TEST@CORP.TEST not found in Kerberos database"
    error = kerberos_error(GssError(gssapi.FAILURE, KRB5 + 7, said), WHAT, target="HTTP@rm.example")
    # A server of a realm that was guessed wrong may want no Kerberos, so it is of that kind still.
    assert type(error) is ServerIdentityError
    assert "KNIT.TEST has to trust CORP.TEST" in error.message
    assert "krbtgt/KNIT.TEST@CORP.TEST, which their administrators make" in error.message
    assert "[domain_realm] of /etc/krb5.conf" in error.message
    assert "HTTP@rm.example" in error.message
    assert "dns_canonicalize_hostname" not in error.message


def test_a_realms_own_ticket_granting_server_is_no_trust() -> None:
    said = "Server krbtgt/CORP.TEST@CORP.TEST not found in Kerberos database"
    error = kerberos_error(GssError(gssapi.FAILURE, KRB5 + 7, said), WHAT)
    assert "trust" not in error.message


@pytest.mark.parametrize(
    ("principal", "rule"),
    [
        ("alice@CORP.TEST", r"RULE:[1:$1@$0](.*@CORP\.TEST)s/@.*//"),
        ("etl/batch-1@CORP.TEST", r"RULE:[2:$1/$2@$0](etl/batch-1@CORP\.TEST)s/.*/etl/"),
    ],
)
def test_who_no_rule_is_for_is_told_the_rule(principal: str, rule: str) -> None:
    said = (
        '{ "servlet":"org.apache.hadoop.http.WebServlet-d02f8d", "cause0":"org.apache.hadoop.'
        "security.authentication.util.KerberosName$NoMatchingRule: No rules applied to "
        f'{principal}", "status":"500" }}'
    )
    error = rules_error(said, WHAT, place="the ResourceManager at http://rm:8088")
    assert isinstance(error, KerberosError)
    assert f"http://rm:8088 knows by the ticket that we are {principal}, and no" in error.message
    assert rule in error.message
    # It does what is promised.
    assert ShortNames(rule).of(principal) == principal.partition("@")[0].partition("/")[0]


def test_a_rule_that_leaves_the_realm_in_is_told() -> None:
    said = "Non-simple name alice@CORP after auth_to_local rule RULE:[1:$1@$0](.*)s/.TEST//"
    error = rules_error(said, WHAT, place="the NameNode")
    assert error is not None
    assert "'alice@CORP'" in error.message
    assert rules_error("Null user", WHAT, place="the NameNode") is None


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (31, "Decrypt integrity check failed"),
        (60, "KDC returned error string: PROCESS_TGS"),
        (7, "Server rm/rm.example@KNIT.TEST not found in Kerberos database"),
    ],
)
@pytest.mark.parametrize("keytab", [None, "some.keytab"])
def test_what_a_kdc_says_whose_key_of_a_trust_is_another_one_may_be_that(
    number: int, said: str, keytab: str | None
) -> None:
    """As MIT's KDCs answered, each of whose realms had another key, or only one had any."""

    def told(principal: str, target: str | None = "rm/rm.example@KNIT.TEST") -> str:
        refused = GssError(gssapi.FAILURE, KRB5 + number, said)
        more = {} if keytab is None else {"keytab": keytab}
        return kerberos_error(refused, WHAT, target=target, principal=principal, **more).message

    assert "As the server is of KNIT.TEST, and we are alice@CORP.TEST" in told("alice@CORP.TEST")
    assert "krbtgt/KNIT.TEST@CORP.TEST, under the same number (kvno)" in told("alice@CORP.TEST")
    assert "krbtgt/" not in told("alice@KNIT.TEST")
    assert "krbtgt/" not in told("alice")
    assert "krbtgt/" not in told("alice@CORP.TEST", None), "it is about the ticket itself"
    # Of a web server only the library knows the realm.
    theirs = "KNIT.TEST" if number == 7 else "REALM"
    assert f"krbtgt/{theirs}@CORP.TEST" in told("alice@CORP.TEST", "HTTP@rm.example")


def test_the_server_that_is_not_known_is_named() -> None:
    told = error_of(problems.SERVER_UNKNOWN, target="HTTP@web.example").message
    assert "the KDC knows no HTTP@web.example" in told
    assert "the KDC knows no such server" in error_of(problems.SERVER_UNKNOWN).message
