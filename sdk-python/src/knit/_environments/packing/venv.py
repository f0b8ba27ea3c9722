"""
Virtual environments.

One is hardly more than packages and a link to an interpreter elsewhere, which a node may lack. Its
archive holds that interpreter too:

* `bin`, `lib`, …: as in the environment; `bin/python` leads to
* `knit-base`: the interpreter, the standard library, and the shared libraries it needs.
* `pyvenv.cfg`: says that the one is the environment of the other, as in every virtual environment,
  so that `sys.prefix` and installers are right and no package of the node is found.
  `bin/knit-unpack` writes into it where that is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from knit._environments.packing.entries import Entry, made, walk
from knit._environments.packing.interpreter import Interpreter
from knit._environments.packing.scripts import unpack_script
from knit.exceptions import PythonEnvironmentError

BASE = "knit-base"

# Made for the shell and the place of the client; there is one activate, of our own, in their stead.
_OWN = re.compile(
    r"pyvenv\.cfg|bin/(python|python3|python3\.\d+t?|activate.*|Activate\.ps1|deactivate.*|pydoc\.bat)"
)


def check(prefix: Path) -> None:
    """
    Raises where containers would lack some of it.

    Raises:
        PythonEnvironmentError: It is one of those that see the system's packages.
    """
    if _settings(prefix).get("include-system-site-packages", "false").lower() == "true":
        raise PythonEnvironmentError(
            f"The virtual environment {prefix} also uses the packages of the Python it was made "
            "with, which no container would have. Make one without --system-site-packages, and "
            "install into it what the program needs."
        )


def entries(interpreter: Interpreter, prefix: Path) -> Iterator[Entry]:
    """What the archive of a virtual environment holds, apart from shared libraries."""
    yield from walk(prefix, skip=lambda path: _OWN.fullmatch(path) is not None)
    yield Entry(target=f"bin/{interpreter.name}", link=f"../{BASE}/bin/{interpreter.name}")
    for alias in ("python", "python3"):
        yield Entry(target=f"bin/{alias}", link=interpreter.name)
    version = ".".join(map(str, interpreter.version))
    settings = f"include-system-site-packages = false\nversion = {version}\n"
    yield made("pyvenv.cfg", settings.encode())
    yield unpack_script()
    activate = Path(__file__).with_name("activate.sh").read_bytes()
    yield made(f"{BASE}/activate.sh", activate)
    yield from interpreter.entries(BASE)


def _settings(prefix: Path) -> dict[str, str]:
    lines = (prefix / "pyvenv.cfg").read_text(encoding="utf-8", errors="replace").splitlines()
    pairs = (line.partition("=") for line in lines)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}
