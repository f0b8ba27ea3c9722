"""
Hadoop's configuration files: `*-site.xml`, with final properties and includes.

They are the cluster's administrators', and still read with bounds: whoever can write one can also
have one read, as where HADOOP_CONF_DIR is a directory that others share.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree
from xml.parsers import expat

from knit._cluster.configuration.old_names import current_name
from knit._values.paths import is_file
from knit.exceptions import ConfigurationError

MAX_INCLUDE_DEPTH = 20
MOST_FILES = 200
"""That one file includes, in all."""
LARGEST_FILE_BYTES = 16 * 1024 * 1024
"""Of one file. The largest of sites have some hundred KB."""
MAX_NESTING = 50
"""Elements within each other. What means something has four."""


class Properties:
    """
    Properties in the order their files are read.

    A later value replaces an earlier one, unless the earlier one was final.

    Args:
        directories: Where included files are looked for first, as Java looks through its
            classpath; then beside the file that includes them.
    """

    def __init__(self, directories: Iterable[Path] = ()) -> None:
        self.values: dict[str, str] = {}
        self._final: set[str] = set()
        self._directories = tuple(directories)
        self._files = 0

    def add(self, name: str, value: str | None, *, final: bool = False) -> None:
        """A property without a value may be final all the same."""
        name = current_name(name)
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
        self._files = 0
        self._add_file(path, depth=0)

    def _add_file(self, path: Path, depth: int) -> None:
        self._files += 1
        if depth > MAX_INCLUDE_DEPTH or self._files > MOST_FILES:
            limit = MAX_INCLUDE_DEPTH if depth > MAX_INCLUDE_DEPTH else MOST_FILES
            raise ConfigurationError(
                f"{path} is included through more than {limit} files; "
                "look for files that include each other."
            )
        root = _parse(_read(path), path)
        if root.tag != "configuration":
            raise ConfigurationError(
                f"{path}: the outermost element is <{root.tag}>, where a Hadoop configuration "
                "has <configuration>. Is this the right file?"
            )
        self._add_children(root, path, depth)

    def _add_children(self, element: ElementTree.Element, path: Path, depth: int) -> None:
        for child in element:
            kind = _local(child)
            if kind == "property":
                self._add_property(child, path)
            elif kind == "configuration":
                self._add_children(child, path, depth)
            elif kind == "include":
                self._include(child, path, depth)

    def _add_property(self, element: ElementTree.Element, path: Path) -> None:
        # An element without a text says nothing, and an attribute without one says so.
        parts: dict[str, str] = dict(element.attrib)
        parts |= {_local(child): child.text for child in element if child.text}
        name = parts.get("name", "").strip()
        if not name:
            raise ConfigurationError(f"{path}: a <property> has no <name>. Correct the file.")
        value = parts.get("value")
        final = parts.get("final", "").strip().lower() == "true"
        self.add(name, None if value is None else value.strip(), final=final)

    def _include(self, element: ElementTree.Element, path: Path, depth: int) -> None:
        reference = element.get("href", "").strip()
        fallback = next((child for child in element if _local(child) == "fallback"), None)
        if element.get("xpointer") is not None:
            raise ConfigurationError(
                f"{path} includes a part of {reference or 'itself'} (xpointer), which neither "
                "Hadoop nor knit can: Hadoop takes the whole file. Put that part in a file of its "
                "own."
            )
        if not reference:
            return
        address = urlsplit(reference)
        if address.scheme not in ("", "file"):
            if fallback is not None:
                self._add_children(fallback, path, depth)
                return
            raise ConfigurationError(
                f"{path} includes {reference!r}, which is not a local file. "
                "knit reads local files only; copy it beside this one and include the copy."
            )
        name = unquote(address.path)
        places = [directory / name for directory in (*self._directories, path.parent)]
        found = next((place for place in places if _is_file(place)), None)
        if found is None and fallback is not None:
            self._add_children(fallback, path, depth)
        else:
            self._add_file(found or places[-1], depth + 1)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(
            f"The Hadoop configuration {path} cannot be read: {error.strerror or error}."
        ) from error
    if len(content) > LARGEST_FILE_BYTES:
        raise ConfigurationError(
            f"The Hadoop configuration {path} has more than {LARGEST_FILE_BYTES // 1024**2} MiB, "
            "and is not read. Is this the right file?"
        )
    return content


def _parse(content: bytes, path: Path) -> ElementTree.Element:
    """
    The elements of a file, whose entities are not looked at: a few of them can make gigabytes.

    Comments are left out of the texts that they stand in, as Hadoop's reader does.
    """
    builder = ElementTree.TreeBuilder()
    parser = expat.ParserCreate(namespace_separator="}")
    parser.buffer_text = True
    depth = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > MAX_NESTING:
            raise ConfigurationError(
                f"{path}, line {parser.CurrentLineNumber}: elements lie within each other more "
                f"than {MAX_NESTING} deep. Is this the right file?"
            )
        builder.start(name, attributes)

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(name)

    def declare(name: str, *_: object) -> None:
        raise ConfigurationError(
            f"{path}, line {parser.CurrentLineNumber}: it declares the entity {name!r}, which "
            "knit does not read. Write out what it stands for."
        )

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = builder.data
    parser.EntityDeclHandler = declare
    try:
        parser.Parse(content, True)
    except (expat.ExpatError, LookupError, ValueError) as error:
        line, column = parser.ErrorLineNumber, parser.ErrorColumnNumber
        reason = str(error).partition(": line ")[0]
        raise ConfigurationError(
            f"{path}, line {line}, column {column + 1}: not well-formed XML ({reason}). "
            "Correct the file, or point HADOOP_CONF_DIR at another directory."
        ) from error
    return builder.close()


def _local(element: ElementTree.Element) -> str:
    """An element's name without its namespace, at which Hadoop's reader does not look either."""
    return str(element.tag).rpartition("}")[2]


def _is_file(path: Path) -> bool:
    return is_file(path, what="Hadoop configuration", error=ConfigurationError)
