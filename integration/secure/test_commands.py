"""What is typed first on a cluster with Kerberos: the doctor, and the demo of this repository."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from integration import demo
from integration.clusters.embedded import EmbeddedCluster
from integration.clusters.security import REALM
from integration.command_line import CommandLine

# Meanwhile tokens grow old.
pytestmark = pytest.mark.usefixtures("both")


def test_the_deep_look_of_the_doctor_finds_nothing_wrong(cluster: EmbeddedCluster) -> None:
    """Down to the logs of a container, which without a keytab are those that YARN collects."""
    command_line = CommandLine(cluster)
    checks = json.loads(command_line.run("doctor", "--deep", "--json").out)
    assert [check for check in checks if not check["ok"]] == []
    messages = {check["name"]: check["message"] for check in checks}
    assert f"{cluster.user}@{REALM}" in messages["ticket"]
    assert str(cluster.krb5_conf) in messages["krb5.conf"]
    assert {"submission", "start", "port", "container", "log collection"} <= set(messages)
    assert command_line.run("list", "--name", "knit-doctor", "--json").out == "[]\n"


def test_the_demo_keeps_what_it_promises(cluster: EmbeddedCluster) -> None:
    """All but the start of a cluster of its own (``nox -s demo -- --secure``)."""
    console = Console(file=io.StringIO(), width=120)
    stopwatch = demo.Stopwatch(console)
    demo.show(cluster, stopwatch)
    for rank in range(demo.INSTANCES + demo.ADDED):
        assert f"worker/{rank} | " in console.file.getvalue()  # type: ignore[attr-defined]
    heard = [what for what, _ in stopwatch.steps]
    assert "submitted to first line of output" in heard
