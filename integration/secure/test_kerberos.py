"""What goes wrong with Kerberos, provoked with a real KDC; and who acts for whom."""

from __future__ import annotations

import pickle
import re
import shutil
from pathlib import Path
from typing import Protocol

import knit
import pytest

REALM = "EXAMPLE.COM"


class Secured(Protocol):
    """Any cluster with Kerberos."""

    conf_dir: Path

    @property
    def krb5_conf(self) -> Path: ...

    def keytab(self, user: str) -> Path: ...


@pytest.fixture(autouse=True)
def environment(cluster: Secured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nobody has a ticket, and nobody claims a name."""
    monkeypatch.setenv("KRB5_CONFIG", str(cluster.krb5_conf))
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{tmp_path / 'cache'}")
    for name in ("KRB5_CLIENT_KTNAME", "HADOOP_PROXY_USER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HADOOP_USER_NAME", "mallory")


def client_of(cluster: Secured, **options: object) -> knit.Client:
    return knit.Client.from_config(cluster.conf_dir, **options)  # type: ignore[arg-type]


def changed(cluster: Secured, tmp_path: Path, pattern: str, replacement: str) -> str:
    text, count = re.subn(pattern, replacement, Path(cluster.krb5_conf).read_text())
    assert count
    path = tmp_path / "krb5.conf"
    path.write_text(text)
    return str(path)


def unused_keytab(cluster: Secured, tmp_path: Path) -> Path:
    """One that this process has no tickets by, so that the KDC has to be asked."""
    return Path(shutil.copy(cluster.keytab("alice"), tmp_path / "alice.keytab"))


def test_a_keytab_is_all_that_is_needed(cluster: Secured, tmp_path: Path) -> None:
    with client_of(cluster, keytab=cluster.keytab("alice")) as client:
        assert client.user == "alice"
        assert client.nodes()
        with pickle.loads(pickle.dumps(client)) as copy:
            assert copy.user == "alice"
    assert not (tmp_path / "cache").exists()


def test_a_keytab_in_the_environment_works_by_itself(
    cluster: Secured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KRB5_CLIENT_KTNAME", f"FILE:{cluster.keytab('bob')}")
    with client_of(cluster) as client:
        assert client.user == "bob"
        assert client.nodes()


def test_without_a_ticket_the_command_that_makes_one_is_named(cluster: Secured) -> None:
    with client_of(cluster) as client, pytest.raises(knit.TicketMissingError, match="kinit"):
        client.nodes()


def test_a_keytab_of_somebody_else_is_told_with_what_it_holds(cluster: Secured) -> None:
    options = {"keytab": cluster.keytab("alice"), "principal": f"carol@{REALM}"}
    with client_of(cluster, **options) as client, pytest.raises(knit.KeytabError) as failure:
        client.nodes()
    assert f"alice@{REALM}" in failure.value.message


def test_a_kdc_that_is_down_is_told_as_such(
    cluster: Secured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    conf = changed(cluster, tmp_path, r"(?m)^(\s*kdc\s*=).*$", r"\1 localhost:1")
    monkeypatch.setenv("KRB5_CONFIG", conf)
    with (
        client_of(cluster, keytab=unused_keytab(cluster, tmp_path)) as client,
        pytest.raises(knit.KdcUnreachableError, match=re.escape(conf)),
    ):
        _ = client.user


def test_a_realm_that_krb5_conf_does_not_know_is_told(
    cluster: Secured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    conf = changed(cluster, tmp_path, re.escape(REALM), "OTHER.COM")
    monkeypatch.setenv("KRB5_CONFIG", conf)
    with (
        client_of(cluster, keytab=unused_keytab(cluster, tmp_path)) as client,
        pytest.raises(knit.KerberosError, match=r"\[realms\]"),
    ):
        _ = client.user


class TestProxyUsers:
    """alice may act for bob (`hadoop.proxyuser.alice.users`)."""

    def test_who_may_acts_for_another(self, cluster: Secured) -> None:
        with client_of(cluster, keytab=cluster.keytab("alice"), user="bob") as client:
            assert client.user == "bob"
            assert client.nodes()
            assert {report.user for report in client.applications()} <= {"bob"}

    def test_so_does_hadoops_variable(
        self, cluster: Secured, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HADOOP_PROXY_USER", "bob")
        with client_of(cluster, keytab=cluster.keytab("alice")) as client:
            assert client.user == "bob"

    def test_who_may_not_is_told_what_an_administrator_sets(self, cluster: Secured) -> None:
        with (
            client_of(cluster, keytab=cluster.keytab("bob"), user="alice") as client,
            pytest.raises(knit.AccessDeniedError, match="not allowed to impersonate alice"),
        ):
            client.nodes()
