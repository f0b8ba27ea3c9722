"""Paths that cannot be looked at are one sentence with the path, whichever option they stand on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from knit.cli import main
from tests.fakes.cluster import FakeCluster

APP = "application_1700000000000_0001"
LONG = "x" * 5000
"""No file system has names of this length (ENAMETOOLONG)."""
UNKNOWN = "~nobody-of-this-name/x"
BELOW_A_FILE = "/etc/hostname/x"
"""ENOTDIR."""


@pytest.mark.parametrize("path", [LONG, UNKNOWN, BELOW_A_FILE], ids=["long", "user", "file"])
@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--file", "{}", "ls"],
        ["run", "--archive", "{}.zip", "ls"],
        ["run", "--python-env", "{}", "ls"],
        ["run", "--env-file", "{}", "ls"],
        ["run", "--spec", "{}"],
        ["run", "--dry-run", "--file", "{}", "ls"],
        ["list", "--conf", "{}"],
        ["validate", "{}"],
        ["env", "pack", "{}"],
        ["credentials", APP, "--out", "{}"],
    ],
    ids=lambda arguments: " ".join(arguments[:3]).replace("{}", "").strip(),
)
def test_a_path_that_cannot_be_is_one_sentence(
    cluster: FakeCluster,
    arguments: list[str],
    path: str,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("knit._submission.submit.JAR", Path(__file__))
    assert main([argument.format(path) for argument in arguments]) in (1, 2)
    err = capfd.readouterr().err
    assert "fault of knit" not in err
    assert "Traceback" not in err
    if arguments[0] != "credentials":  # which asks the cluster first
        assert path[:20] in err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may look at everything")
def test_a_path_that_may_not_be_looked_at_is_one_sentence(
    cluster: FakeCluster, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    for option in ("--file", "--python-env", "--env-file", "--spec"):
        assert main(["run", option, f"{tmp_path}/closed/x", "ls"]) in (1, 2)
        err = capfd.readouterr().err
        assert f"{tmp_path}/closed/x" in err
        assert "fault of knit" not in err


def test_the_lock_file_of_an_editor_is_a_file(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "~$report.xlsx").touch()
    (tmp_path / "app.yaml").write_text(
        "name: a\nservices: {w: {command: ls, files: [{source: '~$report.xlsx', name: r}]}}\n"
    )
    monkeypatch.chdir(tmp_path)
    assert main(["validate", "app.yaml"]) == 0, capfd.readouterr().err


@pytest.mark.parametrize("value", ["/etc/hostname", "/" + LONG])
def test_a_cache_that_cannot_be_is_one_sentence(
    value: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", value)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").touch()
    main(["env", "pack", str(tmp_path)])
    main(["doctor", "--conf", "nowhere"])
    out, err = capfd.readouterr()
    assert "fault of knit" not in err
    assert "\nCACHE\t" not in out
    assert f"cache\tfailed\tPython environments cannot be packed: {value[:20]}" in out
