"""Specifications as plain data, as YAML and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

import attrs
import cattrs

from knit._values import texts
from knit._values.converting import converter_of, problems_of, without_echoes
from knit._values.in_documents import said_of
from knit._values.problems import Problem, error_of
from knit.exceptions import SpecError


class Document(Protocol):
    """A class of attrs that can be read from a document."""

    def _below(self: _S, directory: Path) -> _S:
        """The same with relative paths taken from a directory."""


_S = TypeVar("_S", bound=Document)


def from_dict(kind: type[_S], data: Mapping[str, Any], directory: Path | None) -> _S:
    """See `ApplicationSpec.from_dict`."""
    spec, problems = _structure(kind, data, directory)
    if spec is None:
        raise error_of(problems, "The specification")
    return spec


def from_file(kind: type[_S], path: Path, *, is_json: bool | None = None) -> _S:
    """See `ApplicationSpec.from_file`."""
    spec, problems = read_file(kind, path, is_json=is_json)
    if spec is None:
        raise error_of(problems, f"{path}")
    return spec


def read_file(
    kind: type[_S], path: Path, *, is_json: bool | None = None
) -> tuple[_S | None, list[Problem]]:
    """
    Reads a specification, or finds all that is wrong with it, in the order of its lines.

    Args:
        kind: Its class.
        path: Where it is.
        is_json: Whether it is JSON, and not YAML. None: by the end of its name, `.json`.

    Raises:
        FileMissingError: There is no such file.
        SpecError: It cannot be read.
    """
    as_json = path.suffix.lower() == ".json" if is_json is None else is_json
    text = texts.read(path)
    found = texts.parse_json(text) if as_json else texts.parse_yaml(text)
    if found.data is None and found.problems:
        return None, found.problems
    spec, wrong = _structure(kind, found.data, path.resolve().parent)
    problems = [*found.problems, *(texts.placed(p, found.root) for p in wrong)]
    problems.sort(key=lambda problem: (problem.line or 0, problem.column or 0))
    return (None if problems else spec), problems


def _structure(
    kind: type[_S], data: object, directory: Path | None
) -> tuple[_S | None, list[Problem]]:
    converter, names = converter_of(kind)
    try:
        spec = converter.structure(data, kind)
    except (cattrs.BaseValidationError, SpecError) as error:
        found = [*problems_of(error, (), names), *_bad_keys(kind, data, error)]
        return None, without_echoes(found)
    return (spec if directory is None else spec._below(directory)), []


def _bad_keys(kind: type, data: object, error: BaseException) -> Iterator[Problem]:
    """Keys of a mapping that are none, where something else of it is wrong as well."""
    for field in attrs.fields(kind):
        said = said_of(field)
        values = data.get(field.name) if isinstance(data, Mapping) else None
        if said is None or said.check_key is None or not isinstance(values, Mapping):
            continue
        for key in values:
            if isinstance(key, str):
                try:
                    said.check_key(key)
                except SpecError as problem:
                    if str(problem) not in map(str, _causes(error)):
                        yield Problem(str(problem), (field.name, key), cause=problem)


def _causes(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, cattrs.BaseValidationError):
        for inner in error.exceptions:
            yield from _causes(inner)
    else:
        yield error


def to_dict(spec: Document) -> dict[str, Any]:
    """See `ApplicationSpec.to_dict`."""
    kind = type(spec)
    data: dict[str, Any] = converter_of(kind)[0].unstructure(spec, kind)
    return data


def to_yaml(spec: Document) -> str:
    """See `ApplicationSpec.to_yaml`."""
    return texts.to_yaml(to_dict(spec))


def to_json(spec: Document) -> str:
    """See `ApplicationSpec.to_json`."""
    return texts.to_json(to_dict(spec))
