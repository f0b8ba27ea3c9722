"""
Users of a realm that the cluster's own trusts, as where people are in a company's directory.

An application of one of them, with a shipped keytab, is that of ``test_secrets.py``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from integration.clusters.docker import SecureDockerCluster
from integration.clusters.docker_secure import CORPORATE_REALM, REALM, host
from integration.secure_docker.conftest import Command


def kinit(command: Command, keytab: Path, principal: str) -> None:
    made = command("kinit", "-k", "-t", str(keytab), principal)
    assert made.returncode == 0, made.stderr


@pytest.fixture
def rpc(cluster: SecureDockerCluster, tmp_path: Path) -> str:
    """The cluster's configuration, with the other door."""
    for file in cluster.conf_dir.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    site = tmp_path / "core-site.xml"
    door = "<property><name>knit.door</name><value>rpc</value></property>"
    site.write_text(site.read_text().replace("</configuration>", f"{door}</configuration>"))
    return str(tmp_path)


def krb5_conf(tmp_path: Path, *, default: str, of_hosts: str) -> str:
    """Where the default realm is one and the cluster's hosts are of another."""
    text = Path("/etc/krb5.conf").read_text()
    for old, new in (
        (f"default_realm = {REALM}", f"default_realm = {default}"),
        (f".knit.test = {REALM}", f".knit.test = {of_hosts}"),
    ):
        assert old in text
        text = text.replace(old, new)
    written = tmp_path / "krb5.conf"
    written.write_text(text)
    return str(written)


def test_who_is_of_a_trusted_realm_is_who_the_rules_make_of_them(
    command: Command,
    cluster: SecureDockerCluster,
    tickets: dict[str, str],
    tmp_path: Path,
    rpc: str,
) -> None:
    """On a machine of theirs, whose default realm is their own."""
    tickets["KRB5_CONFIG"] = krb5_conf(tmp_path, default=CORPORATE_REALM, of_hosts=REALM)
    kinit(command, cluster.keytab("corp-b.builder"), "b.builder")
    doctor = command("knit", "doctor")
    assert (doctor.returncode, doctor.stderr) == (0, "")
    assert f"The cluster knows b.builder@{CORPORATE_REALM} as bob." in doctor.stdout
    assert "your home is /user/bob" in doctor.stdout
    listed = command("knit", "list", "--conf", rpc)
    assert (listed.returncode, listed.stderr) == (0, "")


def test_who_no_rule_is_for_is_told_so_by_both_doors(
    command: Command, cluster: SecureDockerCluster, rpc: str
) -> None:
    kinit(command, cluster.keytab("corp-etl"), f"etl/batch@{CORPORATE_REALM}")
    for options in ([], ["--conf", rpc]):
        listed = command("knit", "nodes", *options)
        assert listed.returncode == 1
        assert f"etl/batch@{CORPORATE_REALM}" in listed.stderr
        assert "hadoop.security.auth_to_local" in listed.stderr
        assert r"RULE:[2:$1/$2@$0](etl/batch@CORP\.TEST)s/.*/etl/" in listed.stderr
    # And is not taken for somebody else.
    doctor = command("knit", "doctor")
    assert doctor.returncode == 1
    assert "knows etl/batch" not in doctor.stdout
    assert "no rule of its hadoop.security.auth_to_local" in doctor.stdout


def test_where_a_realm_is_not_trusted_the_trust_is_named(
    command: Command, cluster: SecureDockerCluster, tickets: dict[str, str], tmp_path: Path
) -> None:
    """The corporate realm does not trust the cluster's."""
    tickets["KRB5_CONFIG"] = krb5_conf(tmp_path, default=REALM, of_hosts=CORPORATE_REALM)
    kinit(command, cluster.keytab("alice"), "alice")
    listed = command("knit", "nodes")
    assert listed.returncode == 1
    assert f"no way to HTTP@{host('resourcemanager')}" in listed.stderr
    assert f"{CORPORATE_REALM} has to trust {REALM}" in listed.stderr
    assert "[domain_realm]" in listed.stderr
