"""
Archives that were packed before, in `~/.cache/knit/environments`.

One is named by the environment it was made of and by how that looked then. Several processes may
use the directory at once: an archive appears in it whole, under its last name, or not at all.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from knit._values.paths import home
from knit.exceptions import PythonEnvironmentError

SUFFIX = ".tar.gz"
LIFETIME = timedelta(days=30)
"""An archive that nobody used for so long is removed."""
KEPT = 2
"""Of one environment, so many archives are kept, and those used a short time ago."""

_SHORT_TIME = timedelta(hours=1)
_PART_LIFETIME = timedelta(days=1)


def directory() -> Path:
    """`$XDG_CACHE_HOME/knit/environments`, by default in `~/.cache`."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(base):
        root = Path(base)
    else:
        root = home("packed environments", error=PythonEnvironmentError) / ".cache"
    return root / "knit" / "environments"


def path_of(environment: Path, fingerprint: str) -> Path:
    """Where the archive of an environment that looks like this belongs."""
    return directory() / f"{_key(environment)}-{fingerprint[:32]}{SUFFIX}"


def is_there(path: Path) -> bool:
    """Whether an archive is in the cache; if so, its use is noted."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True


@contextlib.contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """
    A name to write to, which becomes the file when the block ends.

    Nothing is left of it if the block breaks off.

    Raises:
        PythonEnvironmentError: It cannot be written there.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        part.replace(path)
    except OSError as error:
        raise PythonEnvironmentError(
            f"The archive {path} cannot be written ({error.strerror or error})."
        ) from None
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def prune(environment: Path) -> None:
    """Removes what is not needed any more; what cannot be removed stays."""
    now = time.time()

    def age(path: Path) -> timedelta:
        return timedelta(seconds=now - path.stat().st_mtime)

    with contextlib.suppress(OSError):
        ages = {path: age(path) for path in directory().iterdir()}
        archives = sorted((p for p in ages if p.name.endswith(SUFFIX)), key=lambda p: ages[p])
        own = [path for path in archives if path.name.startswith(f"{_key(environment)}-")]
        old = [path for path in archives if ages[path] > LIFETIME]
        old += [path for path in own[KEPT:] if ages[path] > _SHORT_TIME]
        old += [p for p in ages if p.name.endswith(".part") and ages[p] > _PART_LIFETIME]
        for path in old:
            path.unlink(missing_ok=True)


def _key(environment: Path) -> str:
    return hashlib.sha256(os.fsencode(environment)).hexdigest()[:12]
