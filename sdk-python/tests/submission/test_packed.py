"""Directories and many small files, in archives that are the same whenever these are."""

from __future__ import annotations

import os
import socket
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from knit import File, SpecError, Visibility
from knit._submission.packed import FEW, SMALL_BYTES, bundled, write_directory


def unpacked(archive: Path, to: Path) -> Path:
    with tarfile.open(archive) as tar:
        tar.extractall(to, filter="tar")  # as a node's `tar` does
    return to


def small(directory: Path, count: int, size: int = 3) -> dict[str, File]:
    directory.mkdir(exist_ok=True)
    files = {}
    for number in range(count):
        path = directory / f"{number:04}"
        path.write_bytes(bytes(size))
        files[path.name] = File(path)
    return files


class TestBundles:
    def test_a_few_files_travel_by_themselves(self, tmp_path: Path) -> None:
        files = small(tmp_path / "in", FEW)
        assert bundled(files) == ([], files)

    def test_more_travel_together(self, tmp_path: Path) -> None:
        files = small(tmp_path / "in", FEW + 1)
        [bundle], others = bundled(files)
        assert others == {}
        bundle.write(tmp_path / "a.tar.gz")
        found = unpacked(tmp_path / "a.tar.gz", tmp_path / "out")
        assert sorted(path.name for path in found.iterdir()) == sorted(files)

    def test_what_has_to_lie_by_itself_does(self, tmp_path: Path) -> None:
        files = small(tmp_path / "in", FEW + 1)
        (tmp_path / "large").write_bytes(bytes(SMALL_BYTES + 1))
        (tmp_path / "a.zip").touch()
        (tmp_path / "directory").mkdir()
        alone = {
            "large": File(tmp_path / "large"),
            "a": File(tmp_path / "a.zip", archive=True),
            "directory": File(tmp_path / "directory"),
            "there": File("hdfs:///there"),
            "own": File(tmp_path / "in" / "0001", "own", visibility=Visibility.APPLICATION),
            "gone": File(tmp_path / "gone"),
        }
        [bundle], others = bundled({**files, **alone})
        assert bundle.files.keys() == files.keys()
        assert others == alone

    def test_a_bundle_has_a_largest_size(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("knit._submission.packed.LARGEST_BUNDLE_BYTES", 100)
        files = small(tmp_path / "in", 50, size=10)
        bundles, _ = bundled(files)
        assert [len(bundle.files) for bundle in bundles] == [10] * 5
        assert len({bundle.name for bundle in bundles}) == 5

    def test_its_name_is_nobodys(self, tmp_path: Path) -> None:
        files = small(tmp_path / "in", FEW + 1)
        taken = {".knit-files-0": File(tmp_path / "in" / "0001", ".knit-files-0")}
        [bundle], _ = bundled({**files, **taken})
        assert bundle.name == ".knit-files-1"

    def test_a_file_of_another_name_has_that(self, tmp_path: Path) -> None:
        files = small(tmp_path / "in", FEW)
        named = {"my file": File(tmp_path / "in" / "0001", "my file")}
        [bundle], _ = bundled({**files, **named})
        bundle.write(tmp_path / "a.tar.gz")
        assert (unpacked(tmp_path / "a.tar.gz", tmp_path / "out") / "my file").is_file()

    def test_one_that_cannot_be_read_is_told(self, tmp_path: Path) -> None:
        files = small(tmp_path / "in", FEW + 1)
        [bundle], _ = bundled(files)
        (tmp_path / "in" / "0003").unlink()
        with pytest.raises(SpecError, match=r"in/0003 cannot be read \(No such file"):
            bundle.write(tmp_path / "a.tar.gz")


def packed(directory: Path) -> Path:
    archive = directory.with_name("packed.tar.gz")
    write_directory(directory, archive)
    return unpacked(archive, directory.with_name("unpacked"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    directory = tmp_path / "source"
    directory.mkdir()
    return directory


class TestDirectories:
    def test_all_of_it_is_there(self, source: Path) -> None:
        contents: Mapping[str, bytes] = {
            "a": b"1",
            ".hidden": b"2",
            "inner/deep/b": b"3",
            "__pycache__/c.pyc": b"4",
            "with space and ünïcode": b"5",
        }
        for name, content in contents.items():
            path = source / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        (source / "empty").mkdir()
        (source / "a").chmod(0o755)
        (source / ".hidden").chmod(0o600)

        found = packed(source)
        assert {name: (found / name).read_bytes() for name in contents} == contents
        assert (found / "empty").is_dir()
        assert os.access(found / "a", os.X_OK)
        assert not (found / ".hidden").stat().st_mode & 0o111

    def test_links_within_it_stay_links(self, source: Path, tmp_path: Path) -> None:
        (source / "inner").mkdir()
        (source / "a").write_text("1")
        (source / "inner" / "up").symlink_to("../a")
        (source / "absolute").symlink_to(source / "inner")
        (source / "broken").symlink_to("nowhere")
        (tmp_path / "outside").write_text("2")
        (source / "out").symlink_to(tmp_path / "outside")

        found = packed(source)
        assert os.readlink(found / "inner" / "up") == "../a"
        assert os.readlink(found / "absolute") == "inner"
        assert os.readlink(found / "broken") == "nowhere"
        assert (found / "out").read_text() == "2"
        assert not (found / "out").is_symlink()

    def test_it_is_the_same_whenever_its_content_is(self, source: Path, tmp_path: Path) -> None:
        """So it travels once, and again when anything in it has changed."""
        archives = []
        for content in ("same", "same", "else"):
            (source / "a").write_text(content)
            write_directory(source, tmp_path / "archive.tar.gz")
            archives.append((tmp_path / "archive.tar.gz").read_bytes())
        assert archives[0] == archives[1] != archives[2]

    def test_what_cannot_be_shipped_is_told(
        self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(source)  # the name of a socket is short
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("s")
            with pytest.raises(SpecError, match="source/s is neither a file nor a directory"):
                write_directory(source, tmp_path / "a.tar.gz")

    def test_a_link_without_end_is_told(self, source: Path, tmp_path: Path) -> None:
        (tmp_path / "outside").mkdir()
        (tmp_path / "outside" / "back").symlink_to(tmp_path / "outside")
        (source / "out").symlink_to(tmp_path / "outside")
        with pytest.raises(SpecError, match="leads back to itself"):
            write_directory(source, tmp_path / "a.tar.gz")

    def test_more_than_anybody_means_is_told(
        self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("knit._submission.packed.MOST_ENTRIES", 5)
        small(source, 5)
        write_directory(source, tmp_path / "a.tar.gz")
        (source / "one more").touch()
        with pytest.raises(SpecError, match="more than 5 files"):
            write_directory(source, tmp_path / "a.tar.gz")

    def test_a_full_disk_is_told(self, source: Path) -> None:
        (source / "a").write_bytes(os.urandom(3_000_000))
        with pytest.raises(SpecError, match="TMPDIR"):
            write_directory(source, Path("/dev/full"))
