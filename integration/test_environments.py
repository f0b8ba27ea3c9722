"""Commands run in Python environments of the submitting machine, whatever Python a node has."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import knit
import pytest

from integration.applications import SMALL, Applications, Ending
from integration.environments import Channel, make_venv, write_wheel
from integration.hdfs import Hdfs

REPORT = """
import json, os, sys
import greeting
print(json.dumps({
    "prefix": sys.prefix,
    "executable": sys.executable,
    "package": greeting.__file__,
    "PYTHON_BIN": os.environ["PYTHON_BIN"],
    "CONDA_PREFIX": os.environ["CONDA_PREFIX"],
    "PATH": os.environ["PATH"],
}))
"""


@pytest.fixture(scope="module", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing of what tests make stays in the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME", "RATTLER_CACHE_DIR"):
            patch.setenv(name, str(tmp_path_factory.mktemp(name.lower())))
        for name in ("CONDA_EXE", "MAMBA_EXE", "KNIT_CONDA_CHANNELS"):
            patch.delenv(name, raising=False)
        patch.setenv("PATH", "/usr/bin:/bin")  # no conda of this machine
        yield


@pytest.fixture(scope="module")
def venv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with a package that no node has."""
    directory = tmp_path_factory.mktemp("environment")
    return make_venv(directory / "venv", write_wheel(directory))


def greet(environment: object, command: str = "greeting", **fields: object) -> knit.Service:
    return knit.Service(
        command,
        python_environment=environment,  # type: ignore[arg-type]
        **{"resources": SMALL, **fields},  # type: ignore[arg-type]
    )


def succeeded(ending: Ending, service: str = "worker") -> str:
    """What rank 0 wrote, once all is well."""
    assert ending.report.final_status is knit.FinalStatus.SUCCEEDED, ending.text(
        service, file="stderr"
    )
    return ending.text(service)


@pytest.mark.topology("nodes have another Python, or none, where they are other machines")
def test_a_virtual_environment_runs_in_containers(
    applications: Applications, venv: Path, tmp_path: Path
) -> None:
    (tmp_path / "report.py").write_text(REPORT)
    ending = applications.run(
        greet(
            venv,
            "$PYTHON_BIN report.py && greeting you",
            files=[tmp_path / "report.py"],
            instances=2,
        )
    )

    succeeded(ending)
    for rank in range(2):
        report, greeting = ending.text("worker", rank).splitlines()
        found = json.loads(report)
        prefix = found["prefix"]
        assert prefix != str(venv)
        assert found["CONDA_PREFIX"] == prefix
        assert found["PYTHON_BIN"] == found["executable"] == f"{prefix}/bin/python"
        assert found["PATH"].startswith(f"{prefix}/bin:")
        assert found["package"].startswith(f"{prefix}/lib/")
        assert greeting == f"hello from {prefix} you"


def test_the_second_submission_packs_and_uploads_nothing(
    applications: Applications, client: knit.Client, hdfs: Hdfs, venv: Path
) -> None:
    succeeded(applications.run(greet(venv)))
    before = hdfs.cache()
    packing: list[knit.PackingProgress] = []
    staging: list[knit.StagingProgress] = []
    app = applications.adopt(
        client.submit(
            knit.ApplicationSpec("test", {"worker": greet(venv, instances=2)}),
            progress=staging.append,
            packing_progress=packing.append,
        )
    )

    assert app.wait().final_status is knit.FinalStatus.SUCCEEDED
    assert [state.cached for state in packing] == [True]
    assert {state.cached for state in staging} == {True}
    assert staging[-1].sent_bytes == 0
    assert hdfs.cache() == before


def test_the_specification_tells_the_environment(
    applications: Applications, venv: Path, hdfs: Hdfs
) -> None:
    ending = applications.run(greet(venv))

    service = ending.description.services["worker"]
    assert service.python_environment is not None
    assert service.python_environment.startswith(f"{hdfs.default_fs}{hdfs.home}/.knit/cache/")
    assert service.python_environment.endswith(".tar.gz")
    assert service.files == {}


def test_the_running_environment_has_knit(applications: Applications) -> None:
    command = "$PYTHON_BIN -c 'import knit, sys; print(sys.prefix, knit.__file__)'"
    said = succeeded(applications.run(greet(knit.RUNNING_ENVIRONMENT, command)))

    prefix, file = said.split()
    assert prefix != sys.prefix
    assert file.startswith(f"{prefix}/lib/")


@pytest.mark.topology("each node unpacks for itself")
def test_archives_of_all_kinds_are_environments(
    applications: Applications, venv: Path, tmp_path: Path, hdfs: Hdfs
) -> None:
    """Also as knit 0.1.1 made them: a zip file in which the environment is a directory."""
    packed = knit.pack_environment(venv)
    tree = tmp_path / "dev"
    tree.mkdir()
    subprocess.run(["tar", "-xzf", str(packed), "-C", str(tree)], check=True)
    with tarfile.open(tmp_path / "env.tar", "w") as tar:
        tar.add(tree, ".")
    for name, inner in (("flat.zip", tree), ("dev.zip", tmp_path)):
        _zip(tmp_path / name, tree, inner)
    path = f"{hdfs.home}/knit-test-environment.tar.gz"
    hdfs.write(path, packed.read_bytes())
    environments = {
        "tar": tmp_path / "env.tar",
        "flat": tmp_path / "flat.zip",
        "zip": tmp_path / "dev.zip",
        "url": f"{hdfs.default_fs}{path}",
    }
    try:
        ending = applications.run({name: greet(each) for name, each in environments.items()})
    finally:
        hdfs.delete(path)

    prefixes = {name: succeeded(ending, name).split()[-1] for name in environments}
    assert prefixes["zip"].endswith("/dev")
    assert len(set(prefixes.values())) == 4


def _zip(path: Path, tree: Path, start: Path) -> None:
    """As the `zip` command does by default: links are followed, and permissions are kept."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for directory, _, names in os.walk(tree, followlinks=True):
            for name in names:
                file = Path(directory) / name
                archive.write(file, file.relative_to(start))


def test_a_conda_environment_runs_in_containers(applications: Applications, tmp_path: Path) -> None:
    channel = Channel.with_python(tmp_path / "channel")
    archive = knit.create_env("suite", ["where", "python"], channels=[channel.url])
    command = "greeting && cat $CONDA_PREFIX/share/where.txt && $PYTHON_BIN -c 'import greeting'"
    said = succeeded(applications.run(greet(archive, command, instances=2))).splitlines()

    prefix = said[0].removeprefix("hello from ")
    assert said == [f"hello from {prefix}", f"{prefix}/share"]
    assert str(tmp_path) not in prefix


def test_without_an_environment_the_package_is_not_there(applications: Applications) -> None:
    """So that it is the environment that the other tests find it in."""
    ending = applications.run(knit.Service("python3 -c 'import greeting'", resources=SMALL))

    assert ending.report.final_status is knit.FinalStatus.FAILED
    assert "No module named 'greeting'" in ending.text("worker", file="stderr")


def test_an_archive_without_an_interpreter_fails_the_container_and_says_why(
    applications: Applications, hdfs: Hdfs
) -> None:
    """One that lies on the cluster: those of this machine are looked into before they are sent."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("README", "no Python here")
    path = f"{hdfs.home}/no-environment.zip"
    hdfs.write(path, content.getvalue())
    try:
        ending = applications.run(greet(f"{hdfs.default_fs}{path}"))
    finally:
        hdfs.delete(path)

    assert ending.report.final_status is knit.FinalStatus.FAILED
    assert ending.exit("worker").exit_code == 1
    assert "PYTHON_DIR is no Python environment" in ending.text("worker", file="stderr")


def test_what_is_no_environment_is_refused_and_leaves_nothing(
    client: knit.Client, hdfs: Hdfs, tmp_path: Path
) -> None:
    before = hdfs.staged_applications(), hdfs.cache()
    for environment in (tmp_path, "/usr", tmp_path / "nothing"):
        with pytest.raises((knit.PythonEnvironmentError, knit.FileMissingError)):
            client.submit(knit.ApplicationSpec("test", {"worker": greet(environment)}))
    assert (hdfs.staged_applications(), hdfs.cache()) == before
