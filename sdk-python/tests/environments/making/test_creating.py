"""Conda environments: by py-rattler from a channel of our own, and by programs that play conda."""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import knit
from knit import CondaException, PackageListError, create_env
from knit._environments.making import rattler
from knit._environments.packing.entries import made
from tests.environments.channel import Channel
from tests.environments.unpacking import run, unpack

OWN = pytest.mark.one_python("makes an environment; on each Python one is made and run elsewhere")


@pytest.fixture(scope="session")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Channel:
    """A channel with Python, and with the packages greeting and where, 1.0 and 2.0."""
    pytest.importorskip("rattler")
    return Channel.with_python(tmp_path_factory.mktemp("channel"))


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where environments are made; no conda of this machine is found, nor its settings."""
    for name in ("CONDA_EXE", "MAMBA_EXE", "CONDARC", "KNIT_CONDA_CHANNELS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("RATTLER_CACHE_DIR", str(tmp_path / "rattler"))
    return tmp_path / "data" / "knit" / "environments"


def left(root: Path) -> list[str]:
    """What is in the directory of environments, apart from locks."""
    return sorted(path.name for path in root.iterdir() if path.suffix != ".lock")


def test_an_environment_is_made_and_runs_elsewhere(
    channel: Channel, root: Path, tmp_path: Path
) -> None:
    said: list[str] = []
    archive = create_env(
        "analysis", ["where", "greeting<2"], channels=[channel.url], progress=said.append
    )

    assert archive.name.endswith(".tar.gz")
    prefix = unpack(archive, tmp_path / "there")
    shutil.rmtree(root / "analysis")
    path = f"{prefix}/bin:/usr/bin:/bin"
    assert run(prefix, "greeting", "you", path=path) == f"hello from {prefix} you"
    assert run(prefix, "bin/python", "-c", "import sys; print(sys.prefix)") == str(prefix)
    assert (prefix / "share" / "where.txt").read_text() == f"{prefix}/share\n"
    assert any(sentence.startswith("solving for where") for sentence in said)
    assert any("installed 3 of 3" in sentence for sentence in said)
    assert said[-1].endswith("100 %")


@OWN
def test_the_same_packages_make_the_same_archive_and_are_not_packed_again(
    channel: Channel, root: Path, cache: Path
) -> None:
    first = create_env("one", ["greeting"], channels=[channel.url])
    content = first.read_bytes()
    run(root / "one", "bin/python", "-c", "import greeting, json.tool")  # compiles
    assert create_env("one", ["greeting"]) == first
    shutil.rmtree(cache)
    assert create_env("one").read_bytes() == content


@OWN
def test_an_environment_that_satisfies_is_taken(channel: Channel, root: Path) -> None:
    create_env("one", ["greeting=1"], channels=[channel.url])
    made = (root / "one" / "conda-meta").stat().st_mtime_ns

    for packages in (["greeting"], ["greeting>=1,<2", "python>=3"], None, []):
        create_env("one", packages, channels=["file:///nowhere"])
    assert (root / "one" / "conda-meta").stat().st_mtime_ns == made

    with pytest.raises(CondaException, match=r"lacks greeting=2 \(it has 1\.0\), numpy\. "):
        create_env("one", ["greeting=2", "numpy"], channels=[channel.url])


@OWN
def test_removed_it_is_made_anew(channel: Channel, root: Path) -> None:
    create_env("one", ["greeting=1"], channels=[channel.url])
    create_env("one", ["greeting=2"], channels=[channel.url], remove=True)

    assert list((root / "one" / "conda-meta").glob("greeting-2*"))
    assert left(root) == ["one"]


@OWN
def test_what_cannot_be_made_leaves_what_was_there(channel: Channel, root: Path) -> None:
    create_env("one", ["greeting=1"], channels=[channel.url])
    with pytest.raises(CondaException, match="No candidates were found for nothing"):
        create_env("one", ["nothing"], channels=[channel.url], remove=True)
    with pytest.raises(CondaException, match="cannot be installed from"):
        create_env("two", ["greeting"], channels=["file:///nowhere"])

    assert left(root) == ["one"]
    assert run(root / "one", "bin/greeting") == f"hello from {root / 'one'}"


@OWN
def test_an_environment_without_python_is_refused(channel: Channel, root: Path) -> None:
    channel.add("empty", "1.0", [made("share/empty.txt", b"")])
    with pytest.raises(CondaException, match="has no Python: add 'python'"):
        create_env("one", ["empty"], channels=[channel.url])
    assert left(root) == []


@OWN
def test_breaking_off_leaves_nothing(channel: Channel, root: Path) -> None:
    def interrupt(sentence: str) -> None:
        if sentence.startswith("solving"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        create_env("one", ["greeting"], channels=[channel.url], progress=interrupt)
    assert left(root) == []


@OWN
def test_of_two_at_once_one_makes_it_and_the_other_takes_it(channel: Channel, root: Path) -> None:
    made: list[Path] = []
    said: list[str] = []

    def make() -> None:
        made.append(create_env("one", ["greeting"], channels=[channel.url], progress=said.append))

    threads = [threading.Thread(target=make) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert made[0] == made[1]
    assert len([sentence for sentence in said if sentence.startswith("solving")]) == 1


@OWN
def test_channels_come_from_the_environment_or_condas_own_settings(
    channel: Channel, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".condarc").write_text(f"channels: [{channel.url}]\n")
    create_env("one", ["greeting"])

    (tmp_path / ".condarc").write_text("channels: ['file:///nowhere']\n")
    monkeypatch.setenv("KNIT_CONDA_CHANNELS", f"{channel.url}, file:///nowhere/either")
    with pytest.raises(CondaException, match="nowhere/either"):
        create_env("two", ["greeting"])
    monkeypatch.setenv("KNIT_CONDA_CHANNELS", channel.url)
    create_env("two", ["greeting"])
    assert left(root) == ["one", "two"]


@OWN
def test_it_works_where_a_loop_runs_already(channel: Channel, root: Path) -> None:
    """As in a notebook."""
    import asyncio

    async def main() -> Path:
        return create_env("one", ["greeting"], channels=[channel.url])

    assert asyncio.run(main()).is_file()


@pytest.mark.parametrize("packages", ["numpy", {"numpy": 1}, 3, ["numpy", 3], ["--help"], [""]])
def test_packages_that_are_no_list_are_a_type_error(packages: list[str]) -> None:
    with pytest.raises(TypeError) as caught:
        create_env("one", packages)
    assert isinstance(caught.value, PackageListError)
    assert isinstance(caught.value, CondaException)


@pytest.mark.parametrize("name", ["", "a/b", "..", "-n", ".hidden", "a b"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(CondaException, match="is no name for an environment"):
        create_env(name, ["python"])


def test_without_packages_it_has_to_exist(root: Path) -> None:
    with pytest.raises(CondaException, match=f"no environment 'one' in {root}"):
        create_env("one")


def test_a_directory_that_is_no_environment_is_left_alone(root: Path) -> None:
    (root / "one").mkdir(parents=True)
    with pytest.raises(CondaException, match="is no conda environment"):
        create_env("one", ["python"])
    assert (root / "one").is_dir()


def test_where_there_is_nothing_to_make_it_with_it_says_what_to_install(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rattler, "is_there", lambda: False)
    with pytest.raises(CondaException, match="pip install py-rattler"):
        create_env("one", ["python"])
    assert left(root) == []


# What plays conda: it says where its environments are, writes down how it was called, and copies
# one that was made before to the prefix it is given.
CONDA = """#!{python}
import json, os, shutil, sys
from pathlib import Path
here = Path(__file__).parent.parent
with (here / "calls.jsonl").open("a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
if sys.argv[1:] == ["info", "--json"]:
    print(json.dumps({info}))
elif sys.argv[1] == "create":
    prefix = sys.argv[sys.argv.index("--prefix") + 1]
    print("Collecting package metadata: done", flush=True)
    os.makedirs(prefix)
    if "broken" in sys.argv:
        print("PackagesNotFoundError: broken", file=sys.stderr)
        sys.exit(1)
    shutil.rmtree(prefix)
    shutil.copytree({template!r}, prefix, symlinks=True)
"""
Play = Callable[..., Path]


@pytest.fixture
def play(channel: Channel, tmp_path: Path) -> Play:
    """Makes a program that plays conda in a directory, which it returns."""
    template = tmp_path / "template"
    rattler.create(template, ["greeting"], [channel.url], lambda _: None)

    def make(name: str, *, settings: bool = False, ancient: bool = True) -> Path:
        directory = tmp_path / f"installed-{name}"
        (directory / "bin").mkdir(parents=True)
        info: dict[str, object] = {
            "envs_dirs" if ancient else "envs directories": [str(directory / "own")],
            "config_files" if ancient else "populated config files": (
                ["/home/me/.condarc"] if settings else []
            ),
        }
        program = directory / "bin" / name
        program.write_text(CONDA.format(python=sys.executable, info=info, template=str(template)))
        program.chmod(0o755)
        return directory

    return make


def calls(directory: Path) -> list[list[str]]:
    lines = (directory / "calls.jsonl").read_text().splitlines()
    return [call for call in map(json.loads, lines) if call[0] == "create"]


@OWN
@pytest.mark.parametrize("name", ["conda", "mamba", "micromamba"])
def test_a_program_on_the_path_makes_it(
    play: Play, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    directory = play(name, ancient=name != "micromamba")
    monkeypatch.setenv("PATH", f"{directory / 'bin'}:{os.environ['PATH']}")
    said: list[str] = []

    assert create_env("one", ["greeting", "python=3"], progress=said.append).is_file()

    prefix = directory / "own" / "one"
    options = ["--channel=conda-forge", "--override-channels"]
    assert calls(directory) == [
        ["create", "--yes", "--prefix", str(prefix), *options, "greeting", "python=3"]
    ]
    assert f"{name}: Collecting package metadata: done" in said


@OWN
def test_a_program_with_settings_of_its_own_decides_on_channels(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = play("conda", settings=True)
    monkeypatch.setenv("CONDA_EXE", str(directory / "bin" / "conda"))

    create_env("one", ["greeting"])
    create_env("two", ["greeting"], channels=["a", "b"])

    channels = [[word for word in call if "channel" in word] for call in calls(directory)]
    assert channels == [[], ["--channel=a", "--channel=b", "--override-channels"]]


@OWN
def test_the_installation_that_is_named_comes_first(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    named, other = play("mamba"), play("conda")
    monkeypatch.setenv("MAMBA_EXE", str(other / "bin" / "conda"))

    create_env("one", ["greeting"], conda_root=named)

    assert calls(named)[0][3] == str(named / "envs" / "one")
    assert not (other / "calls.jsonl").exists()


@OWN
def test_a_program_that_fails_leaves_nothing_and_is_quoted(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = play("conda")
    monkeypatch.setenv("PATH", f"{directory / 'bin'}:{os.environ['PATH']}")

    with pytest.raises(CondaException, match=r"exit status 1\).*PackagesNotFoundError: broken"):
        create_env("one", ["broken"])
    assert left(directory / "own") == []


def test_a_program_that_does_not_answer_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "conda"
    program.write_text("#!/bin/sh\necho no JSON\n")
    program.chmod(0o755)
    monkeypatch.setenv("CONDA_EXE", str(program))

    with pytest.raises(CondaException, match="info --json` does not work"):
        knit.create_env("one", ["python"])
