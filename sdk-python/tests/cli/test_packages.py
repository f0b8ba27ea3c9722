"""An environment whose packages are too old is told so, in place of a traceback."""

from __future__ import annotations

import sys
from importlib import metadata
from typing import NoReturn

import pytest

from knit import cli
from knit.cli import _packages, main

DECLARED = [
    "attrs>=23.2",
    "protobuf<8,>=6.31.1",
    "click>=8.1",
    "py-rattler>=0.28; extra == 'conda'",
]


@pytest.fixture
def versions(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What is installed, by name."""
    found = {"attrs": "26.1.0", "protobuf": "7.35.0", "click": "8.5.1"}

    def version(name: str) -> str:
        if name not in found:
            raise metadata.PackageNotFoundError(name)
        return found[name]

    monkeypatch.setattr(metadata, "requires", lambda _: DECLARED)
    monkeypatch.setattr(metadata, "version", version)
    return found


@pytest.mark.parametrize(
    ("version", "versions", "is_too_old"),
    [
        ("6.31.1", ">=6.31.1,<8", False),
        ("6.31.0", ">=6.31.1,<8", True),
        ("6.4", ">=6.31.1", True),
        ("10.0", ">=9.9.9", False),
        ("8.1", ">=8.1.0", False),
        ("8.2.0rc1", ">=8.1", False),
        ("8.2.dev0", ">=8.2", False),
        ("1.60.0+local", ">=1.76", True),
        ("5", "", False),
    ],
)
def test_versions_are_compared_by_their_numbers(
    version: str, versions: str, is_too_old: bool
) -> None:
    assert _packages.is_too_old(version, versions) is is_too_old


def test_where_all_is_there_nothing_is_said(versions: dict[str, str]) -> None:
    assert _packages.problems() == []


def test_one_that_is_too_old_is_named_with_what_to_install(
    versions: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    versions["protobuf"] = "4.25.8"
    del versions["click"]
    assert main(["--version"]) == 1
    assert capfd.readouterr().err.splitlines() == [
        "knit: the package protobuf is 4.25.8 here, and knit needs <8, >=6.31.1. Install it: "
        f"{sys.executable} -m pip install 'protobuf<8,>=6.31.1'.",
        f"knit: the package click is missing. Install it: {sys.executable} -m pip install "
        "'click>=8.1'.",
    ]


def test_one_that_is_newer_than_any_tested_may_do(versions: dict[str, str]) -> None:
    versions["protobuf"] = "9.0.0"
    assert _packages.problems() == []
    assert _packages.is_too_new("9.0.0", "<8,>=6.31.1")


@pytest.mark.parametrize(
    "error",
    [
        ImportError("cannot import name 'runtime_version' from 'google.protobuf'"),
        RuntimeError("The grpc package installed is at version 1.60.0, but the generated code…"),
    ],
)
def test_packages_that_do_not_go_together_are_no_fault_of_knit(
    error: Exception, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> NoReturn:
        raise error

    monkeypatch.setattr("knit.cli._arguments.options.Cluster.client", fail)
    assert main(["list"]) == 1
    err = capfd.readouterr().err
    assert "packages that do not go together" in err
    assert "pip install" in err
    assert "fault of knit" not in err


def test_the_check_imports_none_of_them() -> None:
    """It has to speak where they cannot be imported."""
    import subprocess

    script = (
        "import sys; import knit.cli._packages; "
        "print(sorted({'attrs', 'attr', 'click', 'grpc', 'google.protobuf'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_ctrl_c_while_packages_are_imported_leaves_no_trace(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def interrupted() -> list[str]:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "problems", interrupted)
    assert cli.main([]) == 130
    assert capfd.readouterr() == ("", "")
