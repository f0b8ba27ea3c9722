"""Hadoop's configuration files: `*-site.xml`, with final properties, includes and variables."""

from __future__ import annotations

import getpass
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

from knit._values.paths import is_file
from knit.exceptions import ConfigurationError

_XINCLUDE = "{http://www.w3.org/2001/XInclude}"
_MAX_INCLUDE_DEPTH = 20

#: Hadoop substitutes at most this often in one value, and then gives up; so do we.
MAX_SUBSTITUTIONS = 20
VARIABLE = re.compile(r"\$\{([^}$\s]+)\}")

#: Names that Hadoop still reads under their old form.
_DEPRECATED = {
    "fs.default.name": "fs.defaultFS",
    "dfs.http.address": "dfs.namenode.http-address",
    "dfs.https.address": "dfs.namenode.https-address",
    "dfs.federation.nameservices": "dfs.nameservices",
    "dfs.federation.nameservice.id": "dfs.nameservice.id",
}


#: Of these, each nameservice may have one of its own, whose name is added.
_DEPRECATED_OF_NAMESERVICES = ("dfs.http.address", "dfs.https.address")


def _current(name: str) -> str:
    """The name under which Hadoop knows a property now."""
    for old in _DEPRECATED_OF_NAMESERVICES:
        if name.startswith(f"{old}."):
            return _DEPRECATED[old] + name.removeprefix(old)
    return _DEPRECATED.get(name, name)


class Properties:
    """
    Properties in the order their files are read.

    A later value replaces an earlier one, unless the earlier one was final.
    """

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self._final: set[str] = set()

    def add(self, name: str, value: str | None, *, final: bool = False) -> None:
        """A property without a value may be final all the same."""
        name = _current(name)
        if name not in self._final and value is not None:
            self.values[name] = value
        if final:
            self._final.add(name)

    def add_file(self, path: Path) -> None:
        """
        Reads one file and whatever it includes.

        Raises:
            ConfigurationError: It cannot be read, or is not a Hadoop configuration.
        """
        self._add_file(path, depth=0)

    def _add_file(self, path: Path, depth: int) -> None:
        if depth > _MAX_INCLUDE_DEPTH:
            raise ConfigurationError(
                f"{path} is included through more than {_MAX_INCLUDE_DEPTH} files; "
                "look for files that include each other."
            )
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ConfigurationError(
                f"The Hadoop configuration {path} cannot be read: {error.strerror or error}."
            ) from error
        try:
            # A file of the cluster's administrators, as trusted as what it leads to.
            root = ElementTree.fromstring(content)  # noqa: S314
        except ElementTree.ParseError as error:
            line, column = error.position
            reason = str(error).partition(": line ")[0]
            raise ConfigurationError(
                f"{path}, line {line}, column {column + 1}: not well-formed XML ({reason}). "
                "Correct the file, or point HADOOP_CONF_DIR at another directory."
            ) from error
        if root.tag != "configuration":
            raise ConfigurationError(
                f"{path}: the outermost element is <{root.tag}>, where a Hadoop configuration "
                "has <configuration>. Is this the right file?"
            )
        self._add_children(root, path, depth)

    def _add_children(self, element: ElementTree.Element, path: Path, depth: int) -> None:
        for child in element:
            if child.tag == "property":
                self._add_property(child, path)
            elif child.tag == "configuration":
                self._add_children(child, path, depth)
            elif child.tag == f"{_XINCLUDE}include":
                self._include(child, path, depth)

    def _add_property(self, element: ElementTree.Element, path: Path) -> None:
        def part(name: str) -> str | None:
            return element.get(name) if name in element.attrib else element.findtext(name)

        name = (part("name") or "").strip()
        if not name:
            raise ConfigurationError(f"{path}: a <property> has no <name>. Correct the file.")
        value = part("value")
        final = (part("final") or "").strip().lower() == "true"
        self.add(name, None if value is None else value.strip(), final=final)

    def _include(self, element: ElementTree.Element, path: Path, depth: int) -> None:
        reference = element.get("href", "")
        address = urlsplit(reference)
        fallback = element.find(f"{_XINCLUDE}fallback")
        if address.scheme not in ("", "file"):
            if fallback is not None:
                self._add_children(fallback, path, depth)
                return
            raise ConfigurationError(
                f"{path} includes {reference!r}, which is not a local file. "
                "knit reads local files only; copy it beside this one and include the copy."
            )
        target = path.parent / unquote(address.path)
        if fallback is not None and not is_file(
            target, what="Hadoop configuration", error=ConfigurationError
        ):
            self._add_children(fallback, path, depth)
        else:
            self._add_file(target, depth + 1)


def substitute(
    name: str, values: Mapping[str, str], environment: Mapping[str, str] | None = None
) -> str:
    """
    The value of a property with its variables replaced, as Hadoop does it.

    `${property}`, `${env.NAME}`, `${env.NAME:-default}` (unset or empty) and `${env.NAME-default}`
    (unset) are replaced, over and over; a variable that nobody defines stays as it is.

    Args:
        name: A property that is in `values`.
        values: All properties.
        environment: Default: this process's.

    Raises:
        ConfigurationError: Properties that refer to each other in a circle, or too long a chain.
    """
    environment = os.environ if environment is None else environment
    return _expand(values[name], values, environment, trail=(name,))


def _expand(
    text: str, values: Mapping[str, str], environment: Mapping[str, str], trail: tuple[str, ...]
) -> str:
    def value_of(match: re.Match[str]) -> str:
        variable = match.group(1)
        found = _lookup(variable, values, environment)
        if found is None:
            return match.group(0)
        if variable in trail:
            circle = " -> ".join((*trail[trail.index(variable) :], variable))
            raise ConfigurationError(
                f"The property {trail[0]} cannot be worked out, its variables lead in a circle: "
                f"{circle}. Give one of them a value of its own."
            )
        if len(trail) > MAX_SUBSTITUTIONS:
            raise ConfigurationError(
                f"The property {trail[0]} cannot be worked out: its variables are nested more "
                f"than {MAX_SUBSTITUTIONS} deep, through {', '.join(trail[1:4])}… "
                "Shorten the chain."
            )
        return _expand(found, values, environment, (*trail, variable))

    # A variable can come about by replacing another one, as in ${rm.${env}}.
    for _ in range(MAX_SUBSTITUTIONS):
        replaced = VARIABLE.sub(value_of, text)
        if replaced == text:
            return text
        text = replaced
    raise ConfigurationError(
        f"The property {trail[0]} cannot be worked out: its variables make new ones more than "
        f"{MAX_SUBSTITUTIONS} times. Write it out."
    )


def _lookup(variable: str, values: Mapping[str, str], environment: Mapping[str, str]) -> str | None:
    if variable.startswith("env."):
        # The first of ':-' and '-' decides, as in Hadoop's own reader.
        name, dash, default = variable[4:].partition("-")
        if dash and name.endswith(":"):
            return environment.get(name[:-1]) or default
        return environment.get(name, default if dash else None)
    if _current(variable) in values:
        return values[_current(variable)]
    return _java_property(variable, environment)


def _java_property(variable: str, environment: Mapping[str, str]) -> str | None:
    """The few of the JVM's own properties that configurations refer to."""
    if variable == "user.name":
        try:
            return environment.get("HADOOP_USER_NAME") or getpass.getuser()
        except (OSError, KeyError):
            return None  # a user ID without a name, as in many containers
    if variable == "user.home":
        home = os.path.expanduser("~")
        return home if os.path.isabs(home) else None
    if variable == "java.io.tmpdir":
        return tempfile.gettempdir()
    return None
