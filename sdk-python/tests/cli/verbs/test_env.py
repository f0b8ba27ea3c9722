"""The verbs that make environments and pack them."""

from __future__ import annotations

from pathlib import Path

import pytest

import knit
from knit.cli import main
from tests.environments.building import make_venv
from tests.environments.unpacking import contents


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


@pytest.mark.one_python("packs an interpreter for itself")
def test_pack_prints_the_path_and_says_how_large(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    venv = make_venv(tmp_path / "venv")

    assert main(["env", "pack", str(venv), "-o", str(tmp_path / "env.tar.gz")]) == 0
    out, err = capfd.readouterr()
    assert out == f"{tmp_path / 'env.tar.gz'}\n"
    assert err.startswith("knit: packed ")
    assert "knit-base/bin/python" in contents(tmp_path / "env.tar.gz")

    assert main(["env", "pack", str(venv), "--quiet"]) == 0
    out, err = capfd.readouterr()
    assert Path(out.strip()).parent == tmp_path / "cache" / "knit" / "environments"
    assert err == ""


def test_what_cannot_be_packed_is_a_sentence(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["env", "pack", "/usr"]) == 1
    assert capfd.readouterr().err.startswith("knit: /usr is no environment of its own")
    assert main(["env", "create", "one", "--channel", "file:///nowhere"]) == 1
    assert "There is no environment 'one'" in capfd.readouterr().err
    assert main(["env"]) in (0, 2), "click before 8.2 leaves with 0 once it has helped"
    assert main(["env", "create"]) == 2


def test_create_hands_on_what_it_is_given(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[object] = []
    archive = tmp_path / "env.tar.gz"
    archive.write_bytes(b"an archive")

    def create_env(*arguments: object, **options: object) -> Path:
        progress = options.pop("progress")
        assert callable(progress)
        progress("solving")
        given.extend([*arguments, options])
        return archive

    monkeypatch.setattr(knit, "create_env", create_env)
    command = ["env", "create", "one", "python=3", "numpy", "-c", "a", "-c", "b"]
    assert main([*command, "--conda-root", "/opt/conda", "--remove"]) == 0
    assert main(["env", "create", "two"]) == 0

    assert given == [
        *("one", ["python=3", "numpy"]),
        {"channels": ("a", "b"), "conda_root": "/opt/conda", "remove": True},
        *("two", None, {"channels": (), "conda_root": None, "remove": False}),
    ]
    assert capfd.readouterr().out == f"{archive}\n" * 2
