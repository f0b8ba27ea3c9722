"""Files to stage, and what lies in the cache of them."""

from __future__ import annotations

from pathlib import Path

from tests.fakes.cluster import FakeCluster

ROOT = "/user/alice/.knit"


def file(directory: Path, name: str, content: bytes) -> Path:
    path = directory / name
    path.write_bytes(content)
    return path


def cached(hadoop: FakeCluster) -> list[str]:
    """The names of what lies in the cache."""
    return sorted(path.rpartition("/")[2] for path in hadoop.file_system.below(f"{ROOT}/cache"))
