"""Small packages and environments, made here from nothing that has to be downloaded."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

GREETING = {
    "greeting/__init__.py": (
        "import sys\ndef main():\n    print('hello from', sys.prefix, *sys.argv[1:])\n"
    ),
}
"""A package whose program says where it runs."""


def write_wheel(
    directory: Path,
    name: str = "greeting",
    files: Mapping[str, str] = GREETING,
    version: str = "1.0",
) -> Path:
    """Make a wheel of these files, with a program of the package's name that calls its `main`."""
    info = f"{name}-{version}.dist-info"
    content = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name} = {name}:main\n",
    }
    record = io.StringIO()
    rows = csv.writer(record, lineterminator="\n")
    path = directory / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for target, text in content.items():
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=")
            rows.writerow([target, f"sha256={digest.decode()}", len(text.encode())])
            wheel.writestr(target, text)
        rows.writerow([f"{info}/RECORD", "", ""])
        wheel.writestr(f"{info}/RECORD", record.getvalue())
    return path


def write_archive(
    path: Path, *, links: Mapping[str, str] = {}, files: Mapping[str, int] = {"bin/python": 0o755}
) -> Path:
    """Write a tar archive of these links, and of these files with their modes."""
    with tarfile.open(path, "w:" if path.name.endswith(".tar") else "w:gz") as archive:
        for name, goal in links.items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, goal
            archive.addfile(info)
        for name, mode in files.items():
            info = tarfile.TarInfo(name)
            info.mode = mode
            archive.addfile(info)
    return path


def make_venv(
    directory: Path, *wheels: Path, options: Sequence[str] = (), python: str = sys.executable
) -> Path:
    """Make a virtual environment, by default of this one's base interpreter, with these wheels."""
    subprocess.run([python, "-m", "venv", "--without-pip", *options, str(directory)], check=True)
    if wheels:
        # The installer of this environment, so that the new one has only what it was given.
        install = ("-m", "pip", "--python", str(directory / "bin" / "python"), "install")
        subprocess.run(
            [sys.executable, *install, "--quiet", "--no-index", *map(str, wheels)],
            check=True,
            env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        )
    return directory
