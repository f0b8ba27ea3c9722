"""What conda's specifications of packages mean."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from knit import CondaException
from knit._environments.making.matching import missing


def _environment(directory: Path, **packages: str) -> Path:
    (directory / "conda-meta").mkdir()
    for name, version in packages.items():
        about = {"name": name.replace("_", "-"), "version": version, "build": "py311_0"}
        (directory / "conda-meta" / f"{name}.json").write_text(json.dumps(about))
    return directory


@pytest.mark.parametrize(
    "spec",
    [
        *("python", "Python", "python=3", "python=3.11", "python=3.11.*", "python==3.11.7"),
        *("python>=3.9", "python >=3.9,<3.12", "python>3.9", "python!=3.10", "python 3.11.*"),
        *(
            "python=3.11.7=py311_0",
            "python=3.11.7=py311*",
            "python 3.11.7 py311_0",
            "python==3.11.07",
        ),
        *(
            "conda-forge::python=3",
            "python=3.10.*|3.11.*",
            "python~=3.11.2",
            "python=*",
            "python>=3!0",
        ),
        *("scikit-learn>=1.3", "scikit-learn>1.3.0rc1", "scikit-learn>=1.3.0.dev0"),
    ],
)
def test_what_an_environment_has(tmp_path: Path, spec: str) -> None:
    prefix = _environment(tmp_path, python="3.11.7", scikit_learn="1.3.0")
    if spec == "python>=3!0":
        assert missing(prefix, [spec]) == ["python>=3!0 (it has 3.11.7)"]  # an epoch of 3
    else:
        assert missing(prefix, [spec]) == []


@pytest.mark.parametrize(
    "spec",
    [
        *("python=3.1", "python=2", "python==3.11", "python<3.11.7", "python>=3.12", "python=4.*"),
        *(
            "python>=3.9,<3.11",
            "python!=3.11.*",
            "python~=3.10.1",
            "python=3.11.7=py310*",
            "python=3.11=py311_0",
        ),
        *("python>3.11.7", "python>=3.11.8.dev0", "python 3.11", "python=3.11.7.post1"),
    ],
)
def test_what_an_environment_lacks(tmp_path: Path, spec: str) -> None:
    prefix = _environment(tmp_path, python="3.11.7")
    assert missing(prefix, [spec]) == [f"{spec} (it has 3.11.7)"]


def test_a_package_that_is_not_there_is_lacking(tmp_path: Path) -> None:
    assert missing(_environment(tmp_path, python="3.11.7"), ["numpy>=1"]) == ["numpy>=1"]


@pytest.mark.parametrize("spec", ["", "python[version='>=3']", "a b c d", "=3"])
def test_what_is_not_understood_is_refused(tmp_path: Path, spec: str) -> None:
    with pytest.raises(CondaException, match="is not understood"):
        missing(_environment(tmp_path, python="3.11.7"), [spec])


def test_a_damaged_environment_is_named(tmp_path: Path) -> None:
    _environment(tmp_path)
    (tmp_path / "conda-meta" / "a.json").write_text("{")
    with pytest.raises(CondaException, match="is damaged"):
        missing(tmp_path, ["a"])
