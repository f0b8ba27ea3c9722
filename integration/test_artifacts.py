"""What is tested is what is checked out: nothing stale is taken for up to date."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from integration import artifacts

Change = Callable[[Path], object]


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    sources = tmp_path / "sources"
    (sources / "inner").mkdir(parents=True)
    (sources / "a.py").write_text("a = 1\n")
    (sources / "inner" / "b.py").write_text("b = 1\n")
    return sources


@pytest.fixture
def wheel(tmp_path: Path, sources: Path) -> Path:
    wheel = tmp_path / "knit.whl"
    wheel.write_bytes(b"made of a and b")
    artifacts.note(wheel, artifacts.fingerprint([sources]))
    return wheel


def is_current(wheel: Path, sources: Path) -> bool:
    return artifacts.is_current(wheel, artifacts.fingerprint([sources]))


def edit_as_of_long_ago(sources: Path) -> None:
    """As a checkout or an archive that keeps times restores a file."""
    (sources / "a.py").write_text("a = 2\n")
    os.utime(sources / "a.py", (1, 1))


CHANGES: dict[str, Change] = {
    "edited": lambda sources: (sources / "inner" / "b.py").write_text("b = 2\n"),
    "edited-as-of-long-ago": edit_as_of_long_ago,
    "moved": lambda sources: (sources / "a.py").rename(sources / "c.py"),
    "moved-between-directories": lambda sources: (sources / "a.py").rename(
        sources / "inner" / "a.py"
    ),
    "deleted": lambda sources: (sources / "a.py").unlink(),
    "added": lambda sources: (sources / "c.py").touch(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_differs_in_any_way_is_built_anew(wheel: Path, sources: Path, change: str) -> None:
    assert is_current(wheel, sources)
    CHANGES[change](sources)
    assert not is_current(wheel, sources)


def test_what_has_only_been_touched_is_not(wheel: Path, sources: Path) -> None:
    (sources / "a.py").touch()
    (sources / "__pycache__").mkdir()
    (sources / "__pycache__" / "a.pyc").write_bytes(b"compiled")
    assert is_current(wheel, sources)


def test_an_artifact_that_somebody_else_made_or_deleted_is_built_anew(
    wheel: Path, sources: Path
) -> None:
    wheel.write_bytes(b"of other sources")
    assert not is_current(wheel, sources)
    wheel.unlink()
    assert not is_current(wheel, sources)


def test_the_same_content_in_another_order_of_inputs_is_another(sources: Path) -> None:
    """Else a file that goes from one input to the next would go unnoticed."""
    other = sources.parent / "other"
    other.mkdir()
    before = artifacts.fingerprint([sources, other])
    (sources / "a.py").rename(other / "a.py")
    (other / "inner").mkdir()
    (sources / "inner" / "b.py").rename(other / "inner" / "b.py")
    assert artifacts.fingerprint([sources, other]) != before
