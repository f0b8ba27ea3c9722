"""Files reach the containers as they are, travel once, and leave nothing behind."""

from __future__ import annotations

import io
import json
import tarfile
import threading
import uuid
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import knit
import pytest
from knit import ContainerState, File, FinalStatus, YarnState

from integration import programs
from integration.applications import (
    PATIENCE,
    PROGRAMS,
    Applications,
    Gate,
    finish,
    program,
    wait_for_text,
)
from integration.hdfs import Hdfs
from integration.waiting import wait_until

pytestmark = pytest.mark.topology("files are localized on other machines than they were written on")

NAME = "Grüße & 'quotes' ✓.txt"


def content_of(name: str) -> bytes:
    return f"the content of {name}\n".encode() * 100


def digest_of(content: bytes) -> list[object]:
    return list(programs.digest(iter([content])))


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of all kinds, in a directory with an awkward name."""
    directory = tmp_path_factory.mktemp("files") / "a directory, ünd more"
    directory.mkdir()
    for name in ("plain.txt", NAME, "to-be-renamed.txt"):
        (directory / name).write_bytes(content_of(name))
    (directory / "empty").write_bytes(b"")
    (directory / "archive.txt.zip").write_bytes(content_of("archive.txt.zip"))
    with zipfile.ZipFile(directory / "zipped.zip", "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("top.txt", content_of("top.txt"))
        zipped.writestr("inner/deep/file.txt", content_of("deep"))
    for name, mode in (("tarred.tar.gz", "w:gz"), ("other.tgz", "w:gz"), ("bare.tar", "w:")):
        with tarfile.open(directory / name, mode) as tarred:  # type: ignore[call-overload]
            for member in ("top.txt", "inner/file.txt"):
                information = tarfile.TarInfo(member)
                information.size = len(content_of(name + member))
                tarred.addfile(information, io.BytesIO(content_of(name + member)))
    return directory


@pytest.fixture(scope="module")
def hdfs_directory(hdfs: Hdfs) -> Iterator[str]:
    path = f"{hdfs.home}/knit-test-files/{uuid.uuid4().hex}"
    hdfs.make_directory(path)
    yield path
    hdfs.delete(path)


@pytest.fixture(scope="module")
def tree(
    module_applications: Applications, directory: Path, hdfs: Hdfs, hdfs_directory: str
) -> dict[str, list[object]]:
    """What a container finds in its working directory."""
    hdfs.write(f"{hdfs_directory}/in-place.txt", content_of("in-place"))
    hdfs.write(f"{hdfs_directory}/in-place.zip", (directory / "zipped.zip").read_bytes())
    url = f"{hdfs.default_fs}{hdfs_directory}"
    ending = module_applications.run(
        program(
            "tree",
            files=[
                directory / "plain.txt",
                str(directory / NAME),
                (directory / "empty").as_uri(),
                File(directory / "to-be-renamed.txt", name="re named.txt"),
                File(directory / "plain.txt", name="the-same-again.txt"),
                directory / "archive.txt.zip",
                File(directory / "zipped.zip", archive=True),
                File(directory / "tarred.tar.gz", archive=True),
                File(directory / "other.tgz", name="the other", archive=True),
                File(directory / "bare.tar", archive=True),
                f"{url}/in-place.txt",
                File(f"{url}/in-place.txt", name="also-in-place.txt"),
                File(f"{url}/in-place.zip", name="unpacked-in-place", archive=True),
            ],
        )
    )
    assert ending.report.final_status is FinalStatus.SUCCEEDED, ending.report.diagnostics
    found: dict[str, list[object]] = json.loads(ending.text("worker"))
    return found


def test_files_keep_their_names_and_bytes(tree: dict[str, list[object]]) -> None:
    for name in ("plain.txt", NAME, "archive.txt.zip"):
        assert tree[name] == digest_of(content_of(name))
    assert tree["empty"] == digest_of(b"")


def test_a_file_may_get_another_name_and_go_twice(tree: dict[str, list[object]]) -> None:
    assert tree["re named.txt"] == digest_of(content_of("to-be-renamed.txt"))
    assert tree["the-same-again.txt"] == digest_of(content_of("plain.txt"))
    assert "to-be-renamed.txt" not in tree


def test_archives_are_unpacked_into_directories(tree: dict[str, list[object]]) -> None:
    assert tree["zipped/top.txt"] == digest_of(content_of("top.txt"))
    assert tree["zipped/inner/deep/file.txt"] == digest_of(content_of("deep"))
    unpacked = {"tarred": "tarred.tar.gz", "the other": "other.tgz", "bare": "bare.tar"}
    for directory, name in unpacked.items():
        for member in ("top.txt", "inner/file.txt"):
            assert tree[f"{directory}/{member}"] == digest_of(content_of(name + member))


def test_files_of_the_cluster_are_used_in_place(tree: dict[str, list[object]]) -> None:
    assert tree["in-place.txt"] == digest_of(content_of("in-place"))
    assert tree["also-in-place.txt"] == digest_of(content_of("in-place"))
    assert tree["unpacked-in-place/top.txt"] == digest_of(content_of("top.txt"))


def test_nothing_else_lies_in_the_working_directory(tree: dict[str, list[object]]) -> None:
    unpacked = {name for name in tree if "/" in name}
    assert set(tree) - unpacked == {
        PROGRAMS.name,
        "plain.txt",
        NAME,
        "empty",
        "re named.txt",
        "the-same-again.txt",
        "archive.txt.zip",
        "in-place.txt",
        "also-in-place.txt",
    }


def test_an_unchanged_file_travels_once(
    applications: Applications, hdfs: Hdfs, tmp_path: Path
) -> None:
    file = tmp_path / "unchanged.bin"
    file.write_bytes(uuid.uuid4().bytes * 1000)
    before = hdfs.cache()
    applications.run(program("tree", files=[file]))
    first = hdfs.cache()
    assert len(first) == len(before) + 1
    file.touch()
    copy = tmp_path / "of another name.bin"
    copy.write_bytes(file.read_bytes())
    ending = applications.run(program("tree", files=[file, copy]))
    assert hdfs.cache() == first, "nothing was uploaded, and no modification time has changed"
    tree = json.loads(ending.text("worker"))
    assert tree[file.name] == tree[copy.name] == digest_of(file.read_bytes())

    file.write_bytes(b"changed")
    ending = applications.run(program("tree", files=[file]))
    assert len(hdfs.cache()) == len(first) + 1
    assert json.loads(ending.text("worker"))[file.name] == digest_of(b"changed")


def test_two_applications_upload_the_same_file_at_once(
    applications: Applications, hdfs: Hdfs, tmp_path: Path
) -> None:
    file = tmp_path / "shared.bin"
    file.write_bytes(uuid.uuid4().bytes * 500_000)
    before = hdfs.cache()
    together = threading.Barrier(2)

    def submit(_: int) -> knit.Application:
        together.wait(timeout=PATIENCE.total_seconds())
        return applications.submit(program("tree", files=[file]))

    with ThreadPoolExecutor() as pool:
        for ending in pool.map(finish, list(pool.map(submit, range(2)))):
            assert json.loads(ending.text("worker"))[file.name] == digest_of(file.read_bytes())
    new = set(hdfs.cache()) - set(before)
    assert len(new) == 1, f"the file lies in the cache once, and nothing half-written: {new}"


def test_many_small_files_and_a_directory_are_in_place(
    applications: Applications, hdfs: Hdfs, tmp_path: Path
) -> None:
    """They travel as two archives; the command sees each file under its own name."""
    files = [tmp_path / f"small {number:04}" for number in range(1_000)]
    for number, file in enumerate(files):
        file.write_text(f"{number}")
    directory = tmp_path / "directory"
    (directory / "inner").mkdir(parents=True)
    (directory / "inner" / "file").write_text("inner")
    (directory / "link").symlink_to("inner/file")
    before = hdfs.cache()
    app = applications.submit(
        knit.Service(
            "ls -d small* | wc -l; cat 'small 0000' 'small 0999'; echo; "
            "cat directory/inner/file; echo; readlink directory/link",
            files=[*files, directory],
        )
    )
    assert len(hdfs.cache()) == len(before) + 2
    ending = finish(app)
    assert ending.text("worker").split() == ["1000", "0999", "inner", "inner/file"]
    described = ending.description.services["worker"].files
    assert set(described) == {file.name for file in files} | {"directory"}


def test_a_large_file_arrives_whole(applications: Applications, tmp_path: Path) -> None:
    file, random = tmp_path / "large.bin", uuid.uuid4().bytes
    with file.open("wb") as out:
        for number in range(100):
            out.write((random + number.to_bytes(16, "big")) * (1024 * 1024 // 32))
    expected = programs.digest(programs.pieces(file))
    ending = applications.run(program("tree", files=[file]))
    assert expected[0] == 100 * 1024 * 1024
    assert json.loads(ending.text("worker"))[file.name] == list(expected)


# Staging is left clean.


def test_the_staging_directory_is_private_and_goes_with_the_application(
    applications: Applications, gate: Gate, hdfs: Hdfs
) -> None:
    app = applications.submit(program("wait", environment=gate.environment))
    staging = f"{hdfs.home}/.knit/applications/{app.application_id}"
    directory, file = hdfs.status(staging), hdfs.status(f"{staging}/application.json")
    assert directory is not None
    assert directory["permission"] == "700"
    assert file is not None
    assert file["permission"] == "600"
    gate.open()
    finish(app)
    wait_until(
        lambda: not hdfs.exists(staging),
        what=f"{staging} is still there after the end",
        timeout=PATIENCE,
        evidence=applications.evidence,
    )


def test_kill_leaves_no_staging(applications: Applications, gate: Gate, hdfs: Hdfs) -> None:
    app = applications.submit(program("wait", environment=gate.environment))
    wait_for_text(app, "waits", 1)
    app.kill()
    assert app.report().state is YarnState.KILLED
    assert app.application_id not in hdfs.staged_applications()


def test_kill_before_the_application_master_starts_leaves_no_staging(
    applications: Applications, hdfs: Hdfs
) -> None:
    app = applications.submit(program("wait"))
    app.kill()
    assert app.report().am_address is None, "it has never registered"
    assert app.application_id not in hdfs.staged_applications()


def test_what_applications_of_the_past_have_left_is_swept_by_a_submission(
    applications: Applications, hdfs: Hdfs
) -> None:
    """Such as those whose client crashed in mid-submission, which YARN has forgotten."""
    left = "application_1000000000000_0001"
    config, user = applications.client.config, applications.client.user
    # A record without this, or with another one's, would be left to the clients of others.
    record: dict[str, object] = {
        "cache": [],
        "tls": None,
        "resource_manager": config.resource_manager_name,
    }
    path = f"{hdfs.home}/.knit/applications/{left}/application.json"
    hdfs.write(path, json.dumps(record).encode())
    hdfs.delete(f"{hdfs.home}/.knit/swept")  # of submissions within an hour one sweeps
    with knit.Client(config, user=user) as client:
        spec = knit.ApplicationSpec("test", {"worker": program("tree")})
        finish(applications.adopt(client.submit(spec)))
    wait_until(
        lambda: left not in hdfs.staged_applications(),
        what=f"{left} was not swept",
        evidence=hdfs.staged_applications,
    )


def test_a_file_that_vanished_from_the_cluster_is_a_localization_failure(
    applications: Applications, gate: Gate, hdfs: Hdfs, hdfs_directory: str
) -> None:
    path = f"{hdfs_directory}/vanishing.txt"
    hdfs.write(path, b"soon gone")
    app = applications.submit(
        {
            "host": program("wait", environment=gate.environment),
            "guest": program("tree", instances=0, files=[f"{hdfs.default_fs}{path}"]),
        }
    )
    wait_for_text(app, "waits", 1)
    hdfs.delete(path)
    app.add_containers(1, service="guest")
    ending = finish(app)
    container = ending.container("guest")
    assert container.state is ContainerState.FAILED
    assert ending.exit("guest").reason is knit.ExitReason.LOCALIZATION_FAILED
    assert ending.exit("guest").exit_code is None
    assert "vanishing.txt" in ending.exit("guest").diagnostics
    assert ending.report.final_status is FinalStatus.FAILED


def test_what_is_on_the_cluster_is_checked_before_submission(
    client: knit.Client, hdfs: Hdfs, hdfs_directory: str
) -> None:
    before = hdfs.staged_applications()
    missing = program("tree", files=[f"{hdfs.default_fs}{hdfs_directory}/never-there.txt"])
    with pytest.raises(FileNotFoundError, match=r"never-there\.txt"):
        client.submit(knit.ApplicationSpec("test", {"worker": missing}))
    assert hdfs.staged_applications() <= before
