"""Specifications as plain data and as YAML."""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol, TypeVar, get_args

import attrs
import cattrs
import yaml
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from knit._values.enums import OpenEnum
from knit._values.in_documents import InDocuments, described, said_of
from knit.exceptions import FileMissingError, SpecError

_SECONDS = {"ms": 0.001, "s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*", re.ASCII)

LARGEST_DOCUMENT_BYTES = 4 * 1024 * 1024
"""Several times what a submission carries; read no further, for the file may be a device."""
MOST_PROBLEMS = 100
"""More of them are only counted."""


class Document(Protocol):
    """A class of attrs that can be read from a document."""

    def _below(self: _S, directory: Path) -> _S:
        """The same with relative paths taken from a directory."""


_S = TypeVar("_S", bound=Document)


@attrs.frozen
class Problem:
    """What is wrong at one place of a document."""

    message: str
    """What, in a sentence."""
    keys: tuple[str, ...] = ()
    """Those that lead there. None: the whole document."""
    unknown_key: str | None = None
    """The key within them that is not known, if that is what is wrong."""
    line: int | None = None
    """Counted from 1. None for data that come from no file."""
    column: int | None = None
    """Likewise."""
    cause: SpecError | None = attrs.field(default=None, repr=False, eq=False)
    """The error it comes from."""

    @property
    def where(self) -> str:
        """The keys as people write them: `services.worker.instances`."""
        return ".".join(self.keys)

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message


def from_dict(kind: type[_S], data: Mapping[str, Any], directory: Path | None) -> _S:
    """See `ApplicationSpec.from_dict`."""
    spec, problems = _structure(kind, data, directory)
    if spec is None:
        raise _error(problems, "The specification")
    return spec


def from_yaml(kind: type[_S], path: Path) -> _S:
    """See `ApplicationSpec.from_yaml`."""
    spec, problems = read_yaml(kind, path)
    if spec is None:
        raise _error(problems, f"{path}")
    return spec


def read_yaml(kind: type[_S], path: Path) -> tuple[_S | None, list[Problem]]:
    """
    Reads a specification, or finds all that is wrong with it, in the order of its lines.

    Raises:
        FileMissingError: There is no such file.
        SpecError: It cannot be read.
    """
    text = _read(path)
    try:
        node = yaml.compose(text, _Loader)
        problems = list(_doubles(node)) if node is not None else []
        data = yaml.load(text, _Loader)  # noqa: S506 - a subclass of SafeLoader
    except yaml.YAMLError as error:
        return None, [_of_yaml(error, text)]
    except RecursionError:
        return None, [Problem("it is nested too deeply.")]
    if node is None or data is None:
        return None, [Problem("it is empty: write a name and services at least.", line=1, column=1)]
    spec, found = _structure(kind, data, path.resolve().parent)
    problems += [_placed(problem, node) for problem in found]
    problems.sort(key=lambda problem: (problem.line or 0, problem.column or 0))
    return (None if problems else spec), problems


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_DOCUMENT_BYTES + 1)
    except FileNotFoundError:
        raise FileMissingError(f"The specification {path} does not exist.") from None
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise SpecError(f"The specification {path} cannot be read: {why}.") from None
    if len(data) > LARGEST_DOCUMENT_BYTES:
        raise SpecError(f"The specification {path} is larger than 4 MiB, which none is.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SpecError(
            f"The specification {path} cannot be read: it is not UTF-8 at byte {error.start}."
        ) from None


def _structure(
    kind: type[_S], data: object, directory: Path | None
) -> tuple[_S | None, list[Problem]]:
    converter, names = _converter(kind)
    try:
        spec = converter.structure(data, kind)
    except (cattrs.BaseValidationError, SpecError) as error:
        found = [*_problems(error, (), names), *_bad_keys(kind, data, error)]
        return None, _without_echoes(found)
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


def _error(problems: Sequence[Problem], what: str) -> SpecError:
    """One error for all of them, of the kind of the only one."""
    lines = [
        f"line {p.line}, column {p.column}: {p}" if p.line is not None else str(p)
        for p in problems[:MOST_PROBLEMS]
    ]
    if len(problems) == 1:
        kind = SpecError if problems[0].cause is None else type(problems[0].cause)
        return kind(lines[0] if what == "The specification" else f"{what}: {lines[0]}")
    if len(problems) > MOST_PROBLEMS:
        lines.append(f"and {len(problems) - MOST_PROBLEMS} more")
    return SpecError("\n  ".join([f"{what} has {len(problems)} faults:", *lines]))


def to_dict(spec: Document) -> dict[str, Any]:
    """See `ApplicationSpec.to_dict`."""
    kind = type(spec)
    data: dict[str, Any] = _converter(kind)[0].unstructure(spec, kind)
    return data


def to_yaml(spec: Document) -> str:
    """See `ApplicationSpec.to_yaml`."""
    text: str = yaml.dump(to_dict(spec), Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    return text


class _Dumper(yaml.SafeDumper):
    """YAML without its silent loss: what it would fold as an exotic line break is escaped."""


def _represent_text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = '"' if set(value) & set("\x85\u2028\u2029") else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style)


_Dumper.add_representer(str, _represent_text)


class _Loader(yaml.SafeLoader):
    """What PyYAML makes of YAML; that a key is given twice is looked for beside it."""


def _doubles(node: yaml.Node) -> Iterator[Problem]:
    """Keys that are given twice, of which YAML would silently take the last."""
    waiting, seen = [node], set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:  # by an alias
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
        elif isinstance(node, yaml.MappingNode):
            first: dict[str, yaml.Mark] = {}
            for key, value in node.value:
                waiting.append(value)
                if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                    continue
                earlier = first.setdefault(key.value, key.start_mark)
                if earlier is not key.start_mark:
                    yield Problem(
                        f"the key {key.value!r} is given twice, first in line {earlier.line + 1}.",
                        line=key.start_mark.line + 1,
                        column=key.start_mark.column + 1,
                    )


def _of_yaml(error: yaml.YAMLError, text: str) -> Problem:
    """What is no YAML at all."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    said = getattr(error, "problem", None) or str(error).partition("\n")[0]
    context = getattr(error, "context", None)
    message = f"it is not valid YAML: {said}{f' ({context})' if context else ''}."
    if mark is None:
        position = getattr(error, "position", None)  # of a character that YAML does not allow
        if not isinstance(position, int):
            return Problem(message)
        before = text[:position]
        message = "it holds a control character, which YAML does not allow."
        return Problem(message, line=before.count("\n") + 1, column=position - before.rfind("\n"))
    line = text.split("\n")[mark.line] if mark.line < text.count("\n") + 1 else ""
    if "\t" in line[: mark.column + 1] and not line[: mark.column].strip():
        message = "a tab stands here: YAML is indented by spaces only."
    return Problem(message, line=mark.line + 1, column=mark.column + 1)


def _placed(problem: Problem, root: yaml.Node) -> Problem:
    """The same problem with the place of the last of its keys that is there."""
    node, mark = root, root.start_mark
    keys = problem.keys if problem.unknown_key is None else (*problem.keys, problem.unknown_key)
    for key in keys:
        found = _child(node, key)
        if found is None:
            break
        mark, node = found
    return attrs.evolve(problem, line=mark.line + 1, column=mark.column + 1)


def _child(node: yaml.Node, key: str) -> tuple[yaml.Mark, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for name, value in reversed(node.value):
            if isinstance(name, yaml.ScalarNode) and name.value == key:
                return name.start_mark, value
    if isinstance(node, yaml.SequenceNode) and key.isdigit() and int(key) < len(node.value):
        value = node.value[int(key)]
        return value.start_mark, value
    return None


@functools.cache
def _converter(kind: type) -> tuple[cattrs.Converter, Mapping[str, str]]:
    """What reads and writes values of a class, and the names of fields that have others there."""
    converter = cattrs.Converter(forbid_extra_keys=True)
    for exact, words in ((str, "text"), (int, "a whole number"), (bool, "true or false")):
        converter.register_structure_hook(exact, functools.partial(_exactly, words))
    converter.register_structure_hook(timedelta, lambda value, _: _parse_duration(value))
    converter.register_unstructure_hook(timedelta, _format_duration)
    names: dict[str, str] = {}
    for each in _classes_of(kind):
        if issubclass(each, OpenEnum):
            converter.register_structure_hook(each, _parse_enum)
            converter.register_unstructure_hook(each, lambda value: value.name.lower())
        else:
            _register(converter, each)
            for field in attrs.fields(each):
                said = said_of(field)
                if said is not None and said.name is not None:
                    names[field.name] = said.name
    return converter, names


def _classes_of(kind: Any) -> Iterator[Any]:
    """The classes that a value of this class consists of, parts before what they are parts of."""
    attrs.resolve_types(kind)
    seen: dict[type, None] = {}
    for field in attrs.fields(kind):
        for part in (field.type, *get_args(field.type)):
            if isinstance(part, type) and (attrs.has(part) or issubclass(part, OpenEnum)):
                seen |= dict.fromkeys(_classes_of(part) if attrs.has(part) else [part])
    return iter([*seen, kind])


def _register(converter: cattrs.Converter, kind: type) -> None:
    fields = {field.name: (field, said_of(field)) for field in attrs.fields(kind)}
    overrides: dict[str, Any] = {
        name: override(
            rename=said.name,
            unstruct_hook=said.write,
            omit_if_default=said.omit_default or None,
        )
        for name, (_, said) in fields.items()
        if said is not None
    }
    checking: dict[str, Any] = {
        name: attrs.evolve(
            overrides.get(name, override()), struct_hook=_checking(converter, field, said)
        )
        for name, (field, said) in fields.items()
    }
    structure: Callable[[Mapping[str, Any], Any], Any] = make_dict_structure_fn(
        kind, converter, _cattrs_forbid_extra_keys=True, **checking
    )
    unstructure: Callable[[Any], dict[str, Any]] = make_dict_unstructure_fn(
        kind, converter, **overrides
    )

    def checked(value: Any, cls: type) -> Any:
        if not isinstance(value, Mapping):
            raise SpecError(
                f"here is {described(value)}; a mapping of names to values belongs here."
            )
        return structure(dict(value), cls)

    converter.register_structure_hook(kind, checked)
    converter.register_unstructure_hook(kind, unstructure)


def _checking(
    converter: cattrs.Converter, field: attrs.Attribute[Any], said: InDocuments | None
) -> Callable[[Any, Any], Any]:
    """
    Reads a field as it is read anyway, and checks it by itself.

    The class checks its fields together and raises for the first; by itself each is found.
    """
    read = said.read if said is not None else None

    def structure(value: Any, kind: Any) -> Any:
        if read is not None:
            result = read(value, converter.structure)
        else:
            result = converter.structure(value, kind)
        convert: Any = field.converter
        made = convert(result) if convert is not None else result
        if field.validator is not None:
            field.validator(None, field, made)
        return result

    return structure


def _exactly(words: str, value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise SpecError(f"{described(value)} is not {words}.")
    return value


def _parse_enum(value: Any, kind: type[OpenEnum]) -> OpenEnum:
    if isinstance(value, kind):
        return value
    if not isinstance(value, str):
        raise SpecError(f"{value!r} is not the name of a {kind.__name__}.")
    try:
        return kind.parse(value)
    except ValueError as error:
        raise SpecError(f"{error}.") from None


def _parse_duration(value: Any) -> timedelta:
    if isinstance(value, timedelta):
        return value
    try:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return timedelta(seconds=value)
        match = _DURATION.fullmatch(value) if isinstance(value, str) else None
        if match and match[2] in _SECONDS:
            return timedelta(seconds=float(match[1]) * _SECONDS[match[2]])
    except (OverflowError, ValueError):
        pass
    raise SpecError(f"{value!r} is no duration: give seconds, or text such as '10 s' or '5 min'.")


def _format_duration(value: timedelta) -> int | float:
    seconds = value.total_seconds()
    return int(seconds) if seconds.is_integer() else seconds


def _problems(
    error: BaseException, path: tuple[str, ...], names: Mapping[str, str]
) -> Iterator[Problem]:
    """All that is wrong, each with where."""
    path = (*path, *_step(error, names))
    if isinstance(error, cattrs.BaseValidationError):
        for inner in error.exceptions:
            yield from _problems(inner, path, names)
    elif isinstance(error, cattrs.ForbiddenExtraKeysError):
        fields = [names.get(a.name, a.name) for a in attrs.fields(error.cl)]
        for key in sorted(error.extra_fields, key=str):
            close = difflib.get_close_matches(str(key), fields, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(fields)}."
            message = f"{key!r} is not known here: {hint}"
            yield Problem(message, path, str(key), cause=SpecError(message))
    elif isinstance(error, KeyError):
        message = "this is missing, and has no default."
        name = names.get(error.args[0], str(error.args[0]))
        # Some versions of cattrs say where, some do not.
        yield Problem(message, path if path[-1:] == (name,) else (*path, name))
    elif isinstance(error, SpecError):
        yield Problem(str(error), path, cause=error)
    elif isinstance(error, (AttributeError, TypeError)):
        yield Problem("a mapping of names to values belongs here.", path)
    else:
        yield Problem(f"{error}", path)


def _without_echoes(problems: list[Problem]) -> list[Problem]:
    """Leaves out what is missing only because its name is misspelt beside it."""
    meant = {
        (*p.keys, found[1])
        for p in problems
        if (found := re.search(r"did you mean '([a-z_]+)'\?$", p.message))
    }
    return [
        p for p in problems if not (p.message.startswith("this is missing") and p.keys in meant)
    ]


def _step(error: BaseException, names: Mapping[str, str]) -> Iterator[str]:
    for note in getattr(error, "__notes__", []):
        if isinstance(note, cattrs.AttributeValidationNote):
            yield names.get(note.name, note.name)
        elif isinstance(note, cattrs.IterableValidationNote):
            yield str(note.index)
