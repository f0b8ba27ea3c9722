"""Programs in `bin` that name the interpreter by where it was, made to find it beside them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import attrs

from knit._environments.packing.entries import Entry, made
from knit.exceptions import PythonEnvironmentError

UNPACK = "bin/knit-unpack"
_LARGEST = 1 << 20
# Where a path is too long for the kernel, installers let a shell start the interpreter.
_BY_SHELL = re.compile(rb"#!/bin/sh\n'''exec' (\"?)(?P<path>[^\"\n]+?)\1 \"\$0\" \"\$@\"\n' '''\n")
_DIRECT = re.compile(rb"#![ \t]*(?P<path>[^\n]+?)(?P<options>[ \t]+-[^\n]*)?\r?\n")


def unpack_script() -> Entry:
    """What makes an environment fit to where it was unpacked."""
    text = Path(__file__).with_name("unpack.sh").read_bytes()
    return made(UNPACK, text, executable=True)


def relocated(entries: Iterable[Entry], prefixes: Iterable[Path]) -> Iterator[Entry]:
    """
    The entries, with programs that run an interpreter of their own environment wherever it is.

    Nothing is left to do to them on the node, and a path of any length will do.

    Args:
        entries: What is packed.
        prefixes: Where the environment is now, by each of its names.
    """
    starts = tuple({f"{prefix}{os.sep}bin{os.sep}".encode() for prefix in prefixes})
    for entry in entries:
        if entry.target.startswith("bin/") and entry.executable and entry.source is not None:
            entry = attrs.evolve(entry, content=_relocated(entry.source, starts))
        yield entry


def _relocated(path: Path, starts: tuple[bytes, ...]) -> bytes | None:
    """What the program is to hold; None if it can stay as it is."""
    try:
        with path.open("rb") as file:
            if file.read(2) != b"#!":
                return None
            content = b"#!" + file.read(_LARGEST)
            rest = file.read()
    except OSError as error:
        raise PythonEnvironmentError(
            f"The file {path} cannot be read ({error.strerror}): check its permissions."
        ) from None
    match = _BY_SHELL.match(content) or _DIRECT.match(content)
    start = next((s for s in starts if match and match["path"].startswith(s)), None)
    if match is None or start is None:
        return None
    name = match["path"][len(start) :]
    if not re.match(rb"(python|pypy)", name):
        return b"#!/usr/bin/env " + name + b"\n" + content[match.end() :] + rest
    options = match.groupdict().get("options") or b""
    head = (
        b"#!/bin/sh\n"
        b"'''exec' \"$(dirname -- \"$(realpath -- \"$0\")\")\"/'%s'%s \"$0\" \"$@\"\n' '''\n"
    )
    return head % (name, options) + content[match.end() :] + rest
