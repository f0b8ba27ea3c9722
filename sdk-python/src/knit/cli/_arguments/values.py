"""
What people type for durations, names, files and applications.

Each function is the `type` of an option or argument: it returns the value or raises
click.BadParameter, to which click adds the option's name. (Subclasses of click.ParamType cannot
be typed for click 8.1 and its later versions alike.)
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from click import BadParameter

from knit._values.identifiers import TYPED_APPLICATION_ID, TYPED_CONTAINER_ID

if TYPE_CHECKING:
    import knit

_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d*)?)s?)?", re.ASCII)
_NO_TIME = (
    "{} is no point in time: write it like 2h (ago), 2026-11-27 or 2026-11-27T08:30, and +01:00 or "
    "Z behind it for another time zone than yours."
)
_LONGEST_SECONDS = 10 * 365 * 24 * 3600
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_PLACE = re.compile(r"[A-Za-z0-9](?:[-._A-Za-z0-9]{0,61}[A-Za-z0-9])?/\d+", re.ASCII)


def duration(text: str) -> timedelta:
    """A length of time: `90`, `90s`, `5m`, `1h30m`, `2d`; never nothing."""
    match = _DURATION.fullmatch(text.strip())
    if match is None or not text.strip():
        raise BadParameter(f"{text!r} is no length of time: write it like 90s, 5m or 1h30m.")
    days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    total = days * 86400 + hours * 3600 + minutes * 60 + seconds
    if not 0.001 <= total <= _LONGEST_SECONDS:
        raise BadParameter(f"{text!r} is too short or too long: give 0.001s to 10 years.")
    return timedelta(seconds=total)


def point_in_time(text: str) -> datetime:
    """A length of time ago, `2h`, or ISO 8601: `2026-11-27`, `2026-11-27T08:30+01:00`."""
    # Without its unit a number may as well be a year or a day.
    if _DURATION.fullmatch(text.strip()) and text.strip()[-1:] in ("d", "h", "m", "s"):
        return datetime.now(timezone.utc) - duration(text)
    # Nor does Python before 3.11 know what has no dashes.
    if not re.match(r"\s*\d{4}-", text):
        raise BadParameter(_NO_TIME.format(repr(text)))
    try:
        # Python 3.10 knows no Z, and of a second's fraction just three or six digits.
        written = re.sub(r"[zZ]$", "+00:00", text.strip())
        written = re.sub(r"\.(\d{1,6})\d*", lambda fraction: f".{fraction[1]:0<6}", written)
        return datetime.fromisoformat(written).astimezone()  # without a zone it is local time
    except (ValueError, OverflowError):
        raise BadParameter(_NO_TIME.format(repr(text))) from None


def memory(text: str) -> str:
    """An amount of memory as knit.Resources takes it, kept as it was typed."""
    from knit import Resources
    from knit.exceptions import SpecError

    try:
        Resources(memory=text)
    except SpecError as error:
        raise BadParameter(str(error)) from error
    return text


def ports(text: str) -> tuple[int, int] | None:
    """`40000-40100`, or one port."""
    from knit._values.ports import to_ports
    from knit.exceptions import SpecError

    try:
        return to_ports(text, "The range")
    except SpecError as error:
        raise BadParameter(str(error)) from error


def variable(text: str) -> tuple[str, str]:
    """`NAME=VALUE`, or `NAME`, whose value is then the caller's own."""
    name, equals, value = text.partition("=")
    if not _VARIABLE_NAME.fullmatch(name):
        # What follows the name may be a secret, so it is not repeated.
        raise BadParameter(
            f"{name!r} is no name of a variable: write NAME=VALUE or NAME, "
            "with letters, digits and underscores in NAME."
        )
    if equals:
        return name, value
    if name not in os.environ:
        raise BadParameter(f"{name} is not set here: set it, or write {name}=VALUE.")
    return name, os.environ[name]


LARGEST_ENV_FILE_BYTES = 1024 * 1024
"""Of all variables of a service together; Linux passes no more to a program."""


def variables(files: Iterable[str], given: Iterable[tuple[str, str]]) -> dict[str, str]:
    """
    The variables of --env-file, and over them those of --env.

    A line of a file is `NAME=VALUE`, taken as it stands to its end, or `NAME`, whose value is
    the caller's own. Empty lines and those that begin with `#` are skipped. That is what
    `docker run --env-file` reads.

    Raises:
        click.BadParameter: A file is none, or a line of it no variable. Values are never shown.
    """
    found: dict[str, str] = {}
    for path in files:
        with open(path, "rb") as stream:
            data = stream.read(LARGEST_ENV_FILE_BYTES + 1)
        if len(data) > LARGEST_ENV_FILE_BYTES:
            raise BadParameter(f"{path} is larger than 1 MiB: that is no file of variables.")
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise BadParameter(f"{path} is not UTF-8 at byte {error.start}.") from None
        for number, line in enumerate(text.split("\n"), 1):
            line = line.removesuffix("\r")
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            try:
                name, value = variable(line.lstrip())
            except BadParameter as error:
                raise BadParameter(f"{path}, line {number}: {error.message}") from None
            found[name] = value
    return {**found, **dict(given)}


def file(text: str) -> knit.File:
    """`PATH` or `PATH#NAME`: a file here or a URL of the cluster, and its name in a container."""
    return _file(text, archive=False)


def archive(text: str) -> knit.File:
    """The same, to be unpacked into a directory of that name."""
    return _file(text, archive=True)


def _file(text: str, *, archive: bool) -> knit.File:
    from knit import File
    from knit.exceptions import SpecError

    path, name = split_file(text)
    try:
        return File(path, name=name, archive=archive)
    except SpecError as error:
        raise BadParameter(str(error)) from error


def file_system(text: str) -> knit.FileSystem:
    """`URL` or `URL#without-renewer`: an HDFS, and whether nobody renews its token."""
    from knit import FileSystem
    from knit.exceptions import SpecError

    url, _, word = text.partition("#")
    if word not in ("", "without-renewer"):
        raise BadParameter(f"{text!r}: write URL, or URL#without-renewer.")
    try:
        return FileSystem(url, without_renewer=bool(word))
    except SpecError as error:
        raise BadParameter(str(error)) from error


def split_file(text: str) -> tuple[str, str | None]:
    """Splits `PATH#NAME`; a `#` in the name of a file that exists belongs to its name."""
    if "#" not in text or ("://" not in text and os.path.exists(text)):
        return text, None
    path, _, name = text.rpartition("#")
    if not path or not name:
        raise BadParameter(f"{text!r} lacks a part: write PATH#NAME, or PATH alone.")
    return path, name


CURRENT = "current"
"""In the place of an application's ID: the one whose container this is."""


def application_id(text: str) -> str:
    """An application's ID in YARN's own form; `current` is the one that this program is in."""
    text = text.strip()
    if text == CURRENT:
        own = os.environ.get("KNIT_APPLICATION_ID", "")
        if not TYPED_APPLICATION_ID.fullmatch(own):
            raise BadParameter(
                "current is the application that this program is a part of, and it is a part of "
                "none: KNIT_APPLICATION_ID, which containers have, is not set. Give an ID."
            )
        return own
    if TYPED_APPLICATION_ID.fullmatch(text):
        return text
    if match := TYPED_CONTAINER_ID.fullmatch(text):
        owner = f"application_{match['application']}"
        raise BadParameter(f"{text} is a container; its application is {owner}.")
    raise BadParameter(
        f"{text!r} is no application's ID; one looks like application_1700000000000_0001. "
        "`knit list` shows yours."
    )


def container(text: str) -> str:
    """A container's ID in YARN's own form, or its place as logs show it: `worker/0`."""
    text = text.strip()
    if TYPED_CONTAINER_ID.fullmatch(text) or _PLACE.fullmatch(text):
        return text
    raise BadParameter(
        f"{text!r} is no container: write its ID, container_1700000000000_0001_01_000002, "
        "or its service and rank, worker/0. `knit containers` shows both."
    )


def is_place(container: str) -> bool:
    """Whether a container is named by service and rank, not by ID."""
    return "/" in container
