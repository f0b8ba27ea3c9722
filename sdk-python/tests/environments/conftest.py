"""Environments that tests share, since each takes a second to make."""

from __future__ import annotations

from pathlib import Path

import pytest

from knit import pack_environment
from tests.environments.building import make_venv, write_wheel


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of the client's cache, empty for each test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "knit" / "environments"


@pytest.fixture(scope="session")
def venv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with one package and its program. Tests leave it as it is."""
    directory = tmp_path_factory.mktemp("environments")
    return make_venv(directory / "venv", write_wheel(directory))


@pytest.fixture(scope="session")
def packed(venv: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive of that environment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        return pack_environment(venv)
