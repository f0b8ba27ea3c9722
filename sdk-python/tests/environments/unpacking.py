"""What a container does with an environment's archive, as its contract says."""

from __future__ import annotations

import os
import subprocess
import tarfile
from pathlib import Path


def unpack(archive: Path, directory: Path) -> Path:
    """Unpack as a NodeManager does, make it fit to where it is, and return its prefix."""
    prefix = directory / "PYTHON_DIR"
    prefix.mkdir(parents=True)
    subprocess.run(["tar", "-xzf", str(archive), "-C", str(prefix)], check=True)
    for path, _, files in os.walk(prefix):
        for name in files:
            if not os.path.islink(os.path.join(path, name)):
                os.chmod(os.path.join(path, name), 0o500)
    fit(prefix)
    return prefix


def fit(prefix: Path) -> None:
    """Run the archive's own script, twice, since it may be run again."""
    for _ in range(2):
        if (prefix / "bin" / "knit-unpack").exists():
            run(prefix, "sh", "bin/knit-unpack", str(prefix))
        elif (prefix / "bin" / "conda-unpack").exists():
            for path in prefix.rglob("*"):
                if path.is_file() and not path.is_symlink():
                    path.chmod(0o700)
            run(prefix, str(prefix / "bin" / "python"), "bin/conda-unpack")


def run(prefix: Path, *command: str, path: str = "/usr/bin:/bin") -> str:
    """Run a program with an environment that holds nothing of ours, and return what it says."""
    answer = subprocess.run(
        ["env", "-i", f"PATH={path}", f"CONDA_PREFIX={prefix}", *command],
        cwd=prefix,
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.strip()


def contents(archive: Path) -> dict[str, tarfile.TarInfo]:
    """What an archive holds, by its name there."""
    with tarfile.open(archive) as tar:
        return {member.name: member for member in tar.getmembers()}
