"""An archive whose Python no node could run is refused before it is sent."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from knit._environments.packing.sources import check_source
from knit.exceptions import PythonEnvironmentError
from tests.environments.building import write_archive

FILE = {"bin/python3.12": 0o755}


@pytest.mark.parametrize(
    ("links", "files"),
    [
        ({}, {"bin/python": 0o755}),
        ({}, {"./env/bin/python3": 0o755}),
        ({"bin/python": "python3", "bin/python3": "python3.12"}, FILE),
        ({"bin/python": "../base/bin/python3"}, {"base/bin/python3": 0o755}),
        ({"bin": "usr/bin"}, {"usr/bin/python3": 0o755}),
        # What a node may have where this machine has it.
        ({"bin/python3": "/usr/bin/python3.12"}, {}),
    ],
)
def test_what_may_run_is_sent(
    tmp_path: Path, links: Mapping[str, str], files: Mapping[str, int]
) -> None:
    for name in ("env.tar.gz", "env.tar"):
        check_source(str(write_archive(tmp_path / name, links=links, files=files)))


@pytest.mark.parametrize(
    ("links", "files", "says"),
    [
        (
            {"bin/python": "python3", "bin/python3": "/opt/tools/Python/3.12/bin/python3.12"},
            {},
            "bin/python is a link to /opt/tools/Python/3.12/bin/python3.12, which a node",
        ),
        ({"bin": "/opt/env/bin"}, {"lib/x": 0o644}, r"bin/python is a link to /opt/env/bin/python"),
        ({"bin/python": "../../python"}, {}, "bin/python is a link to ../../python|a link to ../"),
        ({"bin/python": "python3.12"}, {}, "a link to python3.12, which is not in it"),
        ({"bin/python": "python3", "bin/python3": "python"}, {}, "which is not in it"),
        ({}, {"bin/python": 0o644}, "nobody may execute bin/python"),
        ({}, {"lib/x.py": 0o644}, "there is no bin/python in it"),
        ({}, {"Scripts/python.exe": 0o755}, "there is no bin/python in it"),
    ],
)
def test_what_cannot_run_is_refused(
    tmp_path: Path, links: Mapping[str, str], files: Mapping[str, int], says: str
) -> None:
    archive = write_archive(tmp_path / "env.tar.gz", links=links, files=files)
    with pytest.raises(PythonEnvironmentError, match=says) as refused:
        check_source(str(archive))
    assert "knit env pack DIR" in refused.value.message


def test_a_zip_is_looked_into_too(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "env.zip", "w") as archive:
        archive.writestr("env/bin/python", "")
    check_source(str(tmp_path / "env.zip"))
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        link = zipfile.ZipInfo("bin/python")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/opt/python")
    with pytest.raises(PythonEnvironmentError, match="a link to /opt/python"):
        check_source(str(tmp_path / "bad.zip"))


def test_a_damaged_archive_is_told(tmp_path: Path) -> None:
    archive = write_archive(
        tmp_path / "env.tar.gz", files={f"lib/{number}": 0o644 for number in range(2_000)}
    )
    archive.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
    with pytest.raises(PythonEnvironmentError, match="is damaged"):
        check_source(str(archive))


def test_it_is_read_only_as_far_as_it_takes(tmp_path: Path) -> None:
    """An environment may have gigabytes, and most archives begin with `bin`."""
    archive = write_archive(
        tmp_path / "env.tar.gz",
        files={"bin/python": 0o755, **{f"lib/{number}": 0o644 for number in range(2_000)}},
    )
    archive.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
    check_source(str(archive))
