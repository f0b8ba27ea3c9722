"""How clusters start, and what is said where they cannot."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from integration.clusters import free_ports
from integration.clusters.embedded import EmbeddedCluster, EmbeddedClusterError
from integration.kinds import HERE


def test_a_cluster_whose_supervisor_cannot_start_says_why_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interpreter = tmp_path / "python"
    interpreter.write_text("not for everybody")
    monkeypatch.setattr("sys.executable", str(interpreter))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(EmbeddedClusterError, match="Permission denied"):
        EmbeddedCluster().__enter__()
    assert [each.name for each in tmp_path.iterdir()] == ["python"]


def test_clusters_of_two_processes_have_no_port_in_common_before_any_of_them_listens() -> None:
    program = "from integration.clusters.free_ports import free_ports\n"
    program += "print(*free_ports(200), flush=True); input()"
    others = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=HERE.parent,
        )
        for _ in range(4)
    ]
    given = free_ports.free_ports(300)  # of more than one block
    for other in others:
        assert other.stdout is not None
        given += map(int, other.stdout.readline().split())
    for other in others:
        other.communicate("\n")
    assert len(set(given)) == len(given) == 4 * 200 + 300
