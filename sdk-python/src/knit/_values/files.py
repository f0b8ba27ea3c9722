"""Files beside a command: what a specification says of them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast
from urllib.parse import unquote, urlsplit

import attrs

from knit._values.characters import check_characters
from knit._values.enums import OpenEnum
from knit._values.in_documents import Structure, described, each_of, in_documents
from knit._values.paths import expanded, is_directory
from knit._values.reading import as_said
from knit.exceptions import DuplicateFileError, SpecError

if TYPE_CHECKING:
    from knit.v1 import service_pb2

ARCHIVE_SUFFIXES = (".tar.gz", ".tgz", ".tar", ".zip", ".jar")
"""What YARN unpacks, by the end of the name."""

ENVIRONMENT_SUFFIXES = ARCHIVE_SUFFIXES[:-1]
RUNNING_ENVIRONMENT = "running"
"""As a service's `python_environment`: the environment that the submitting program runs in."""
ENVIRONMENT_NAME = "PYTHON_DIR"
"""What the environment is called in the working directory, as in knit 0.1.1."""

# Two letters at least, so that a Windows drive is not taken for a scheme.
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]+:/")
# YARN puts names between double quotes of a shell, and does not escape them.
_EXPANDED_BY_YARN = frozenset('"$`\\\n')
LONGEST_NAME_BYTES = 255
"""Of one file's name: the most that the file systems of Linux take."""
_OWN_NAMES = frozenset(
    {
        "container_tokens",
        "default_container_executor.sh",
        "default_container_executor_session.sh",
        "launch_container.sh",
        "tmp",  # a directory that YARN makes, and into which it would link the file
    }
)


_NAME_SCHEMA: Mapping[str, Any] = {
    "pattern": r"""^[^/:"$`\\\n\0]{1,255}$""",
    "not": {"enum": sorted({".", "..", *_OWN_NAMES})},
}


class Visibility(OpenEnum):
    """Who shares a node's copy of a file."""

    UNKNOWN = 0
    """A value newer than this SDK."""
    PRIVATE = 1
    """All applications of this user on the node."""
    APPLICATION = 2
    """Containers of this application on the node."""
    PUBLIC = 3
    """Everybody on the node. Only for a URL of the cluster that everybody may read."""


def _to_source(value: str | os.PathLike[str]) -> str:
    source = os.fspath(value) if isinstance(value, (str, os.PathLike)) else None
    if not isinstance(source, str):
        raise SpecError(f"The file {value!r} is neither a path nor a URL.")
    if not source or "\0" in source:
        raise SpecError(f"The file {source!r} is not a path: it is empty or holds a null byte.")
    return source


def to_local_path(source: str) -> Path | None:
    """The path on this machine that a path or URL names; None for a URL of the cluster."""
    if not _URL.match(source):
        return expanded(source)
    url = urlsplit(source)
    return Path(unquote(url.path)) if url.scheme.lower() == "file" else None


def to_environment_source(value: str | os.PathLike[str] | None) -> str | None:
    """Returns where a Python environment is, from any way in which a specification may say it."""
    if value is None:
        return None
    source = os.fspath(value) if isinstance(value, (str, os.PathLike)) else None
    if not isinstance(source, str):
        raise SpecError(f"python_environment is {value!r}: give a path or a URL.")
    if not source or "\0" in source:
        raise SpecError(
            f"python_environment is {source!r}: it is no path, being empty or with a null byte."
        )
    if not isinstance(value, str) and source == RUNNING_ENVIRONMENT:
        return os.path.join(os.curdir, source)  # a path is never the word
    url = urlsplit(source) if _URL.match(source) else None
    if url and url.scheme.lower() != "file" and not is_environment_archive(url.path):
        raise SpecError(
            f"The Python environment {source} ends in none of "
            f"{', '.join(ENVIRONMENT_SUFFIXES)}, by which YARN knows how to unpack it."
        )
    return source


def is_environment_archive(path: str) -> bool:
    """Whether YARN unpacks what has this name, to a directory that can be an environment."""
    return path.lower().endswith(ENVIRONMENT_SUFFIXES)


_RENAME = (
    "give the file another one, with knit.File(PATH, name=NAME), or PATH#NAME on the command line."
)


def _check_name(name: object) -> str:
    if not isinstance(name, str) or not name or name in {".", ".."} or set(name) & {"/", "\0"}:
        raise SpecError(
            f"The file name {name!r} is not one: it is the name in the working directory, "
            "without any slash."
        )
    if unsafe := sorted(set(name) & _EXPANDED_BY_YARN):
        raise SpecError(
            f"The file name {name!r} holds {' '.join(map(repr, unsafe))}, which YARN does not "
            f"leave as it is: {_RENAME}"
        )
    # It takes what stands before the colon for the scheme of a URL.
    if ":" in name:
        raise SpecError(
            f"The file name {name!r} holds a colon, with which YARN starts no container: {_RENAME}"
        )
    check_characters(f"The file name {name!r}", name, hint=_RENAME)
    if (size := len(name.encode())) > LONGEST_NAME_BYTES:
        raise SpecError(
            f"The file name {name[:40]!r}… has {size} bytes, and a node's file system takes "
            f"{LONGEST_NAME_BYTES}: {_RENAME}"
        )
    if name in _OWN_NAMES:
        raise SpecError(f"The file name {name!r} is YARN's own: choose another one.")
    return name


def _to_name(value: str | None) -> str:
    return cast(str, value)  # None until the source is known: see __attrs_post_init__


@attrs.frozen
class File:
    """A file, directory or archive that a node copies into the working directory of a command."""

    source: str = attrs.field(
        converter=_to_source, metadata=in_documents(read=None, schema={"minLength": 1})
    )
    """
    A path of this machine (also as `file://`), uploaded at submission, or a URL that the
    cluster can read (`hdfs://…`), used in place.

    A directory is packed with all that is in it, and lies beside the command as a directory.
    Symbolic links within it stay links; what others lead to is packed in their place.
    """
    name: str = attrs.field(
        default=None,
        converter=_to_name,
        metadata=in_documents(read=None, schema=_NAME_SCHEMA),
    )
    """
    Its name in the working directory. By default the last part of the source, of an archive
    without its suffix.
    """
    archive: bool = attrs.field(default=False)
    """
    Whether the node unpacks it into a directory of its name. The source must end in one of
    `.tar.gz`, `.tgz`, `.tar`, `.zip`, `.jar`.
    """
    visibility: Visibility = attrs.field(default=Visibility.PRIVATE)
    """Who shares the node's copy."""

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.archive, bool):
            raise SpecError(f"archive is {self.archive!r}: give True or False.")
        if not isinstance(self.visibility, Visibility):
            raise SpecError(f"visibility is {self.visibility!r}: give a knit.Visibility.")
        base = self._base_name
        suffix = next((s for s in ARCHIVE_SUFFIXES if base.lower().endswith(s)), None)
        if self.archive and suffix is None:
            raise SpecError(
                f"The archive {self.source} ends in none of {', '.join(ARCHIVE_SUFFIXES)}, "
                "by which YARN knows how to unpack it."
            )
        if self.name is None:
            base = base[: -len(suffix)] if self.archive and suffix else base
            object.__setattr__(self, "name", base)
        _check_name(self.name)
        if self.visibility == Visibility.PUBLIC and self.local_path is not None:
            raise SpecError(
                f"{self.source} is uploaded to a directory that only you can read, so it cannot "
                "be PUBLIC: put it on the cluster and give its URL."
            )

    @property
    def local_path(self) -> Path | None:
        """The path on this machine; None for a URL of the cluster."""
        return to_local_path(self.source)

    @property
    def _base_name(self) -> str:
        path = self.local_path
        if path is not None:
            # Resolved, since `.` and `..` have no name of their own.
            return path.name or path.resolve().name
        return unquote(urlsplit(self.source).path.rstrip("/").rpartition("/")[2])

    def _below(self, directory: Path) -> File:
        """The same file, with a relative path taken from `directory`."""
        path = self.local_path
        if path is None or path.is_absolute():
            return self
        return attrs.evolve(self, source=str(directory / path))

    @property
    def is_directory(self) -> bool:
        """Whether the source is a directory of this machine, which is packed at submission."""
        path = self.local_path
        return path is not None and is_directory(path, what="file")

    @classmethod
    def _from_proto(cls, name: str, message: service_pb2.LocalResource) -> dict[str, File]:
        """The file that a message tells of, or the files of an archive that holds many."""
        from knit.v1 import service_pb2

        # An archive of files that lie beside the command is no archive to whoever gave these.
        archive = message.type == service_pb2.LOCAL_RESOURCE_TYPE_ARCHIVE
        return {
            each: as_said(
                cls,
                source=message.url,
                name=each,
                archive=archive and not message.member_names,
                visibility=Visibility(message.visibility or 1),  # not said: as this
            )
            for each in message.member_names or [name]
        }


def files_from_proto(
    resources: Mapping[str, service_pb2.LocalResource], environment_name: str
) -> tuple[Mapping[str, File], str | None]:
    """The files that messages tell of, by name, and where the Python environment among them is."""
    environment = resources[environment_name].url if environment_name in resources else None
    files: dict[str, File] = {}
    for name, resource in sorted(resources.items()):
        if name != environment_name:
            files |= File._from_proto(name, resource)
    return files, environment


_FILE_LIKE: Mapping[str, Any] = {
    "anyOf": [
        {"type": "string", "minLength": 1, "description": "A path or a URL."},
        {"class": File},
    ]
}
FILES_SCHEMA: Mapping[str, Any] = {
    "anyOf": [
        {"type": "array", "items": _FILE_LIKE},
        {"type": "object", "propertyNames": _NAME_SCHEMA, "additionalProperties": _FILE_LIKE},
    ]
}

FileLike: TypeAlias = "str | os.PathLike[str] | File"


def to_files(value: Mapping[str, FileLike] | Iterable[FileLike]) -> Mapping[str, File]:
    """Returns files by their name, from any way in which a specification may give them."""
    if isinstance(value, (str, os.PathLike, File)):
        raise SpecError(f"files is {value!r}: give a list of files, or a mapping of names to them.")
    if isinstance(value, Mapping):
        return {_check_name(name): _named(name, file) for name, file in value.items()}
    files: dict[str, File] = {}
    for item in value:
        file = item if isinstance(item, File) else File(item)
        other = files.setdefault(file.name, file)
        if other is not file:
            raise DuplicateFileError(
                f"{other.source} and {file.source} would both be {file.name!r} in the working "
                "directory: give one of them another name."
            )
    return files


def _named(name: str, file: FileLike) -> File:
    if isinstance(file, File):
        return file if file.name == name else attrs.evolve(file, name=name)
    return File(file, name=name)


def files_from_document(value: Any, structure: Structure) -> Mapping[str, File]:
    """Returns files by their name, from any way in which a document may give them."""

    def parse(key: Any, item: Any) -> File:
        name = key if isinstance(value, Mapping) else None
        if isinstance(item, Mapping):
            made = structure(item if name is None else {"name": name, **item}, File)
        else:
            made = File(item) if name is None else _named(_check_name(name), item)
        return made if name is None else _named(_check_name(name), made)

    if isinstance(value, (list, tuple)):
        return to_files(each_of(value, parse))
    if isinstance(value, Mapping):
        return {file.name: file for file in each_of(value, parse)}
    raise SpecError(
        f"{described(value)} is neither a list of files nor a mapping of names to them."
    )


def environment_below(directory: Path, source: str | None) -> str | None:
    """The same environment, with a relative path taken from `directory`."""
    path = None if source in (None, RUNNING_ENVIRONMENT) else to_local_path(str(source))
    return source if path is None or path.is_absolute() else str(directory / path)
