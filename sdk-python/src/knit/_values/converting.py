"""Values of classes of attrs from plain data and back, with every fault and its place."""

from __future__ import annotations

import difflib
import functools
import re
from collections import abc
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any, get_args, get_origin

import attrs
import cattrs
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from knit._values.durations import format_duration, to_duration
from knit._values.enums import OpenEnum
from knit._values.in_documents import InDocuments, described, said_of
from knit._values.places import Keys, place_of
from knit._values.problems import Problem
from knit.exceptions import SpecError


@functools.cache
def converter_of(kind: type) -> tuple[cattrs.Converter, Mapping[str, str]]:
    """What reads and writes values of a class, and the names of fields that have others there."""
    converter = cattrs.Converter(
        forbid_extra_keys=True, unstruct_collection_overrides={tuple: list}
    )
    for exact, words in ((str, "text"), (int, "a whole number"), (bool, "true or false")):
        converter.register_structure_hook(exact, functools.partial(_exactly, words))
    converter.register_structure_hook(float, _number)
    converter.register_structure_hook(timedelta, lambda value, _: to_duration(value))
    converter.register_unstructure_hook(timedelta, format_duration)
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
        elif get_origin(kind) is tuple and not isinstance(value, (list, tuple)):
            raise SpecError(f"{described(value)} is not a list.")
        elif get_origin(kind) is abc.Mapping and not isinstance(value, Mapping):
            raise SpecError(
                f"here is {described(value)}; a mapping of names to values belongs here."
            )
        else:
            result = converter.structure(value, kind)
        convert: Any = field.converter
        made = convert(result) if convert is not None else result
        if field.validator is not None:
            field.validator(None, field, made)
        return result

    return structure


def _number(value: Any, _: type) -> float:
    if type(value) not in (int, float):
        raise SpecError(f"{described(value)} is not a number.")
    return float(value)


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


def problems_of(error: BaseException, path: Keys, names: Mapping[str, str]) -> Iterator[Problem]:
    """All that is wrong, each with where."""
    path = (*path, *_step(error, names))
    if isinstance(error, cattrs.BaseValidationError):
        for inner in error.exceptions:
            yield from problems_of(inner, path, names)
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
        keys, said = place_of(error)
        yield Problem(said, (*path, *keys), cause=error)
    elif isinstance(error, (AttributeError, TypeError)):
        yield Problem("a mapping of names to values belongs here.", path)
    else:
        yield Problem(f"{error}", path)


def without_echoes(problems: list[Problem]) -> list[Problem]:
    """Leaves out what is missing only because its name is misspelt beside it."""
    meant = {
        (*p.keys, found[1])
        for p in problems
        if (found := re.search(r"did you mean '([a-z_]+)'\?$", p.message))
    }
    return [
        p for p in problems if not (p.message.startswith("this is missing") and p.keys in meant)
    ]


def _step(error: BaseException, names: Mapping[str, str]) -> Iterator[str | int]:
    for note in getattr(error, "__notes__", []):
        if isinstance(note, cattrs.AttributeValidationNote):
            yield names.get(note.name, note.name)
        elif isinstance(note, cattrs.IterableValidationNote):
            yield note.index if isinstance(note.index, int) else str(note.index)
