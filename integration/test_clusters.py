"""How clusters start, and what is said where they cannot."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from integration.clusters.embedded import EmbeddedCluster, EmbeddedClusterError


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
