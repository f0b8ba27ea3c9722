"""A conda channel in a directory, with packages made by hand, one of them Python itself."""

from __future__ import annotations

import hashlib
import io
import json
import sys
import tarfile
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from knit._environments.packing.entries import Entry, made
from knit._environments.packing.interpreter import Interpreter, with_libraries
from tests.environments.building import GREETING

PLACEHOLDER = "/opt/" + "placeholder_" * 12
"""What files hold in place of the path they are installed to; conda's tools replace it."""


@attrs.frozen
class Channel:
    """A directory that conda's tools take as a channel, by its `url`."""

    directory: Path

    @property
    def url(self) -> str:
        return self.directory.as_uri()

    @classmethod
    def with_python(cls, directory: Path) -> Channel:
        """A channel with the interpreter of these tests, and two versions of a package for it."""
        channel = cls(directory)
        channel.add("python", _version(), python_entries())
        for version in ("1.0", "2.0"):
            channel.add_greeting(version)
        return channel

    def add_greeting(self, version: str) -> None:
        """The package of which a program says where it runs, and a file that holds its path."""
        self.add(
            "greeting",
            version,
            [made(f"site-packages/{name}", text.encode()) for name, text in GREETING.items()],
            depends=["python"],
            programs=["greeting = greeting:main"],
        )
        self.add(
            "where",
            version,
            [made("share/where.txt", f"{PLACEHOLDER}/share\n".encode())],
            depends=[f"greeting {version}"],
        )

    def add(
        self,
        name: str,
        version: str,
        entries: Iterable[Entry],
        *,
        depends: Sequence[str] = (),
        programs: Sequence[str] | None = None,
    ) -> None:
        """Write a package; with `programs`, one for any version of Python."""
        subdir = "linux-64" if programs is None else "noarch"
        file_name = f"{name}-{version}-0.conda"
        index: dict[str, Any] = {
            "name": name,
            "version": version,
            "build": "0",
            "build_number": 0,
            "depends": list(depends),
            "subdir": subdir,
        }
        if programs is not None:
            index["noarch"] = "python"
        content = _package(index, list(entries), programs)
        path = self.directory / subdir / file_name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        record = {
            **index,
            "md5": hashlib.md5(content).hexdigest(),
            "sha256": hashlib.sha256(content).hexdigest(),
            "size": len(content),
        }
        for each in ("linux-64", "noarch"):
            self._index(each, {file_name: record} if each == subdir else {})

    def _index(self, subdir: str, records: Mapping[str, object]) -> None:
        path = self.directory / subdir / "repodata.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        known = json.loads(path.read_text())["packages.conda"] if path.exists() else {}
        data = {
            "info": {"subdir": subdir},
            "packages": {},
            "packages.conda": {**known, **records},
            "repodata_version": 1,
        }
        path.write_text(json.dumps(data))


def python_entries() -> list[Entry]:
    """The interpreter of these tests, as a directory that holds nothing else."""
    interpreter = Interpreter.ask(Path(sys.executable), Path(sys.prefix))
    entries = [
        attrs.evolve(entry, target=entry.target.removeprefix("x/"))
        for entry in interpreter.entries("x")
    ]
    # Debian's Python looks for packages in a directory of another name.
    library = f"lib/{interpreter.name}"
    entries.append(Entry(target=f"{library}/dist-packages", link="site-packages"))
    entries.append(made(f"{library}/site-packages/README.txt", b"Packages go here.\n"))
    found = with_libraries(entries, f"bin/{interpreter.name}", "")
    return [entry for entry in found if not entry.is_directory]


def _version() -> str:
    return ".".join(map(str, sys.version_info[:3]))


def _package(
    index: Mapping[str, object], entries: Sequence[Entry], programs: Sequence[str] | None
) -> bytes:
    """A `.conda`: a zip file with one tar file of the files, and one of what is known of them."""
    paths = []
    files = io.BytesIO()
    with tarfile.open(fileobj=files, mode="w") as tar:
        for entry in entries:
            source = entry.source.read_bytes() if entry.source is not None else b""
            content = entry.content if entry.content is not None else source
            _add(tar, entry, content)
            path: dict[str, object] = {
                "_path": entry.target,
                "path_type": "hardlink" if entry.link is None else "softlink",
                "sha256": hashlib.sha256(content).hexdigest(),
                "size_in_bytes": len(content),
            }
            if PLACEHOLDER.encode() in content:
                path |= {"file_mode": "text", "prefix_placeholder": PLACEHOLDER}
            paths.append(path)
    about: dict[str, object] = {
        "index.json": index,
        "paths.json": {"paths": paths, "paths_version": 1},
    }
    if programs is not None:
        about["link.json"] = {
            "noarch": {"type": "python", "entry_points": list(programs)},
            "package_metadata_version": 1,
        }
    info = io.BytesIO()
    with tarfile.open(fileobj=info, mode="w") as tar:
        for name, data in about.items():
            text = json.dumps(data).encode()
            _add(tar, made(f"info/{name}", text), text)
    stem = f"{index['name']}-{index['version']}-{index['build']}"
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("metadata.json", json.dumps({"conda_pkg_format_version": 2}))
        archive.writestr(f"pkg-{stem}.tar.zst", _as_zstandard(files.getvalue()))
        archive.writestr(f"info-{stem}.tar.zst", _as_zstandard(info.getvalue()))
    return package.getvalue()


def _add(tar: tarfile.TarFile, entry: Entry, content: bytes) -> None:
    info = tarfile.TarInfo(entry.target)
    info.mode = 0o755 if entry.executable else 0o644
    info.mtime = 1_600_000_000
    info.size = len(content)
    if entry.link is not None:
        info.type, info.linkname = tarfile.SYMTYPE, entry.link
    tar.addfile(info, io.BytesIO(content))


def _as_zstandard(data: bytes) -> bytes:
    """What the format says of data that is not compressed: Python cannot compress to it yet."""
    block = 1 << 17
    starts = range(0, len(data), block) or range(1)
    parts = [b"\x28\xb5\x2f\xfd\x00\x58"]  # a frame, without a checksum, of windows of 2 MiB
    for start in starts:
        part = data[start : start + block]
        is_last = start == starts[-1]
        parts += [(len(part) << 3 | is_last).to_bytes(3, "little"), part]
    return b"".join(parts)
