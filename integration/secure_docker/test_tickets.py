"""Tickets as people have them: by password, renewed, expired, beside a clock that is wrong."""

from __future__ import annotations

import subprocess
import time
from datetime import timedelta

import knit
import pytest

from integration.clusters.docker import SecureDockerCluster
from integration.clusters.docker_secure import host
from integration.secure_docker.conftest import Command
from integration.waiting import wait_until


def kinit(command: Command, cluster: SecureDockerCluster, *options: str) -> None:
    keytab = str(cluster.keytab(cluster.user))
    made = command("kinit", *options, "-k", "-t", keytab, cluster.user)
    assert made.returncode == 0, made.stderr


def test_a_ticket_by_password_lets_in(command: Command) -> None:
    assert command("kinit", "carol", text="wonderland\n").returncode == 0
    listed = command("knit", "list", "--all")
    assert (listed.returncode, listed.stderr) == (0, "")
    doctor = command("knit", "doctor")
    assert "carol@KNIT.TEST" in doctor.stdout
    # The one thing that is wrong is that nobody has made her a home.
    assert "/user/carol" in doctor.stdout
    assert doctor.returncode == 1


def test_who_has_no_ticket_is_told_to_get_one(command: Command) -> None:
    listed = command("knit", "list")
    assert listed.returncode == 1
    assert "kinit" in listed.stderr
    assert "Traceback" not in listed.stderr


def test_who_has_an_expired_one_is_told_so(command: Command, cluster: SecureDockerCluster) -> None:
    kinit(command, cluster, "-l", "3s")
    wait_until(
        lambda: command("klist", "-s").returncode != 0,
        what="the ticket did not expire",
        timeout=timedelta(minutes=1),
        evidence=lambda: command("klist").stdout,
    )
    listed = command("knit", "list")
    assert listed.returncode == 1
    assert "expired" in listed.stderr
    assert "kinit" in listed.stderr


@pytest.mark.parametrize("shift", ["+45m", "-45m"])
def test_a_clock_that_is_wrong_is_named(
    command: Command, cluster: SecureDockerCluster, shift: str
) -> None:
    kinit(command, cluster)
    listed = command("faketime", "-f", shift, "knit", "list")
    assert listed.returncode == 1
    assert "clock" in listed.stderr
    assert "Traceback" not in listed.stderr


def test_a_ticket_that_is_renewed_outlives_itself(
    command: Command,
    cluster: SecureDockerCluster,
    client: knit.Client,
    tickets: dict[str, str],
) -> None:
    """A wait of several lives of a ticket, whose cache is renewed beside it as people's are."""
    kinit(command, cluster, "-l", "12s", "-r", "10m")
    app = client.submit(knit.ApplicationSpec("waits", {"w": knit.Service("sleep 30")}))
    with app:
        began = time.monotonic()
        waiting = subprocess.Popen(
            ["knit", "wait", app.application_id],
            env=tickets,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        while waiting.poll() is None:
            time.sleep(3)  # well within the life of a ticket
            assert command("kinit", "-R").returncode == 0
        assert waiting.stdout is not None
        assert waiting.returncode == 0, waiting.stdout.read()
        assert time.monotonic() - began > 2 * 12


def test_a_host_of_two_names_is_explained_for_the_web_and_found_by_rpc(
    cluster: SecureDockerCluster, config: knit.ClusterConfig
) -> None:
    """The alias has no principal. Java, and so knit, asks by RPC what the address is called."""
    alias = host("resourcemanager").removeprefix("knit-")
    assert alias != host("resourcemanager")
    by_alias = config.with_properties({"yarn.resourcemanager.hostname": alias})
    with knit.Client(by_alias) as client, pytest.raises(knit.KerberosError) as caught:
        client.nodes()
    assert alias in str(caught.value)
    assert "dns_canonicalize_hostname" in str(caught.value)
    with knit.Client(by_alias.with_properties({"knit.door": "rpc"})) as client:
        assert len(client.nodes()) == 3
