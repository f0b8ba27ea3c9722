"""
What `knit` prints: tables on a terminal, aligned or tab-separated lines elsewhere, and JSON.
"""

from __future__ import annotations

import enum
import json
import os
import re
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import IO

import click

from knit.cli._terminal.words import human_duration, human_time

GOOD, BAD, DIM = "green", "red", "bright_black"
# Line feed and tab stay: sentences of several lines are meant.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_GAP = 2
# FINISHED has none: beside it stands how it finished, which may be FAILED.
_COLOURS = {
    "SUCCEEDED": GOOD,
    "RUNNING": GOOD,
    "ok": GOOD,
    "FAILED": BAD,
    "KILLED": BAD,
    "failed": BAD,
}


class Preformatted(str):
    """A text of a table whose spaces are kept, as those of a tree."""


def open_closed() -> None:
    """
    Leads streams that were closed when we began, as by `>&-`, nowhere.

    Else the first file or connection that is opened gets the number of one of them, and what
    some library writes to its stdout or stderr goes there.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            try:
                os.fstat(number)
            except OSError:
                # The lowest number that is free is this one, for those below were looked at.
                os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, open(os.devnull, "r+" if number else "r", encoding="utf-8"))  # noqa: SIM115


def make_robust() -> None:
    """Lets a stream that cannot show a character show its code, instead of raising."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def is_terminal(stream: IO[str]) -> bool:
    """Whether a person reads this stream, on something that understands colours and movement."""
    try:
        return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    except ValueError:  # closed
        return False


def has_colours(stream: IO[str]) -> bool:
    """Whether to colour what goes there. See https://no-color.org."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR")


def clean(text: str) -> str:
    """
    Replaces what would move the cursor, clear the screen or ring the bell.

    Names, diagnostics and what a cluster answers are other people's; only log lines, which
    programs write for a terminal, are passed on raw.
    """
    return _CONTROLS.sub("?", text)


def say(text: str) -> None:
    """Print a sentence on how things go, for people: on stderr, so that it is in no pipe."""
    click.echo(f"knit: {clean(text)}", err=True)


def print_json(value: object) -> None:
    """Print a value as one line of JSON, in ASCII, at once."""
    click.echo(json.dumps(value))


def print_table(
    headings: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    optional: Sequence[str] = (),
    wide: bool = False,
) -> None:
    """
    Print rows under headings.

    Without a terminal the fields are separated by one tab each, and none is left out or
    shortened, so that `cut` and `awk -F'\\t'` can read them. On one that is too narrow columns
    are left out, never words: an ID in two parts can be neither read nor copied. Absent values
    are `-`.

    Args:
        headings: Of the columns.
        rows: As many values each.
        optional: Columns that may be left out, the first one first.
        wide: Leave none out; the terminal breaks the lines where it must.
    """
    table = [[heading.upper() for heading in headings]]
    table += [[_one_line(value) for value in row] for row in rows]
    if not is_terminal(sys.stdout):
        for fields in table:
            click.echo("\t".join(fields))
        return
    widths = [max(_columns(fields[n]) for fields in table) for n in range(len(headings))]
    shown = list(range(len(headings)))
    left_out = [] if wide else _too_many(headings, widths, optional)
    shown = [n for n in shown if headings[n] not in left_out]
    colours = has_colours(sys.stdout)
    for row, fields in enumerate(table):
        parts = []
        for n in shown:
            text = fields[n]
            padding = "" if n == shown[-1] else " " * (widths[n] - _columns(text) + _GAP)
            if colours:
                text = click.style(text, bold=True) if not row else _coloured(text)
            parts.append(text + padding)
        click.echo("".join(parts).rstrip(), color=colours)
    if left_out:
        say(f"this terminal is too narrow for {', '.join(left_out)}: --wide or --json has all")


def _too_many(headings: Sequence[str], widths: Sequence[int], optional: Sequence[str]) -> list[str]:
    """The columns that have to go, in the order in which they may."""
    room = shutil.get_terminal_size().columns - sum(widths) - _GAP * (len(widths) - 1)
    left_out: list[str] = []
    for heading in optional:
        if room >= 0:
            break
        room += widths[headings.index(heading)] + _GAP
        left_out.append(heading)
    # A wide one may have made room for narrow ones that were left out before it.
    for heading in reversed(left_out[:-1]):
        needed = widths[headings.index(heading)] + _GAP
        if needed <= room:
            room -= needed
            left_out.remove(heading)
    return left_out


def _columns(text: str) -> int:
    """How many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _coloured(text: str) -> str:
    colour = _COLOURS.get(text)
    return text if colour is None else click.style(text, fg=colour)


def print_fields(fields: Mapping[str, object]) -> None:
    """Print one thing's fields, a line each, the values aligned. Absent ones are left out."""
    absent: tuple[object, ...] = (None, "", (), [])
    shown = {name: _text(value) for name, value in fields.items() if value not in absent}
    width = max(map(len, shown), default=0) + 2
    colours = has_colours(sys.stdout)
    for name, text in shown.items():
        value = text.replace("\n", "\n" + " " * (width + 1))
        if colours:
            name_ = click.style(f"{name}:".ljust(width), bold=True)
            value = click.style(value, fg=_COLOURS.get(text))
        else:
            name_ = f"{name}:".ljust(width)
        click.echo(f"{name_} {value}")


def _one_line(value: object) -> str:
    if isinstance(value, Preformatted):
        return clean(value).replace("\n", " ").replace("\t", " ")
    return "-" if value in (None, "") else " ".join(_text(value).split())


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return human_time(value)
    if isinstance(value, timedelta):
        return human_duration(value)
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, (list, tuple)):
        return clean(", ".join(map(str, value)))
    return clean(str(value))
