"""
What a specification may say, as JSON Schema, made of the classes that read it.

Titles and descriptions are the docstrings of classes and fields. What only several fields
together say, such as that one of two is left out, and what a length of time or an amount of memory
in words comes to, is checked by the reader alone.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import textwrap
from collections import abc
from collections.abc import Mapping
from datetime import timedelta
from types import NoneType
from typing import Any, cast, get_args, get_origin

import attrs

from knit._values.checking import Check
from knit._values.converting import converter_of
from knit._values.durations import PATTERN
from knit._values.enums import OpenEnum
from knit._values.in_documents import said_of

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean"}


def schema_of(kind: type) -> dict[str, Any]:
    """The schema of documents that a class of attrs is read from."""
    made = _Maker(kind)
    root = made.object_of(kind)
    definitions = {name: made.definitions[name] for name in sorted(made.definitions)}
    return {"$schema": DIALECT, "title": f"knit {kind.__name__}", **root, "$defs": definitions}


class _Maker:
    def __init__(self, kind: type) -> None:
        self._converter = converter_of(kind)[0]
        self.definitions: dict[str, dict[str, Any]] = {}

    def object_of(self, kind: type) -> dict[str, Any]:
        """An object with a property for each field."""
        attrs.resolve_types(cast("type[attrs.AttrsInstance]", kind))
        described = docstrings(kind)
        properties: dict[str, Any] = {}
        required: list[str] = []
        for field in attrs.fields(cast("type[attrs.AttrsInstance]", kind)):
            said = said_of(field)
            name = said.name if said is not None and said.name is not None else field.name
            properties[name] = self._property(field, described.get(field.name))
            if field.default is attrs.NOTHING:
                required.append(name)
        found: dict[str, Any] = {
            "type": "object",
            "properties": properties,
            "additionalProperties": False,
        }
        if kind.__doc__:
            found = {"description": _words(kind.__doc__), **found}
        if required:
            found["required"] = required
        return found

    def _property(self, field: attrs.Attribute[Any], described: str | None) -> dict[str, Any]:
        said = said_of(field)
        own = self._resolved(dict(said.schema)) if said is not None else {}
        checked: Mapping[str, Any] = (
            field.validator.schema if isinstance(field.validator, Check) else {}
        )
        found = own if {"type", "anyOf"} & {*own} else self._of_type(field.type, {**checked, **own})
        if described:
            found = {"description": described, **found}
        default = self._default(field)
        if default is not None:
            found = {**found, "default": default}
        return found

    def _default(self, field: attrs.Attribute[Any]) -> Any:
        if field.default is attrs.NOTHING:
            return None
        make = getattr(field.default, "factory", None)
        value = field.default if make is None else make()
        said = said_of(field)
        if said is not None and said.write is not None:
            return said.write(value)
        return None if value is None else self._converter.unstructure(value, field.type)

    def _of_type(self, kind: Any, checked: Mapping[str, Any]) -> dict[str, Any]:
        """
        The schema of values of a type.

        Args:
            kind: The type.
            checked: What else holds for them.
        """
        parts = get_args(kind)
        origin = get_origin(kind)
        if NoneType in parts:
            rest = [part for part in parts if part is not NoneType]
            return {"anyOf": [self._of_type(rest[0], checked), {"type": "null"}]}
        if kind is timedelta:
            return {
                "anyOf": [
                    {"type": "number", "description": "Seconds.", **checked},
                    {"type": "string", "pattern": PATTERN},
                ]
            }
        if origin is tuple:
            return {"type": "array", "items": self._of_type(parts[0], {}), **checked}
        if origin is abc.Mapping:
            entries = self._of_type(parts[1], {})
            return {"type": "object", "additionalProperties": entries, **checked}
        if isinstance(kind, type) and (attrs.has(kind) or issubclass(kind, OpenEnum)):
            return {**self._reference(kind), **checked}
        return {"type": _PLAIN[kind], **checked}

    def _reference(self, kind: type) -> dict[str, Any]:
        name = kind.__name__
        if name not in self.definitions:
            self.definitions[name] = {}  # for what refers to itself
            self.definitions[name] = (
                _enum(kind) if issubclass(kind, OpenEnum) else self.object_of(kind)
            )
        return {"$ref": f"#/$defs/{name}"}

    def _resolved(self, schema: Any) -> Any:
        """A schema of a field with its classes as references."""
        if isinstance(schema, Mapping):
            for key in ("class", "enum-of"):
                if key in schema:
                    return self._reference(schema[key])
            return {key: self._resolved(value) for key, value in schema.items()}
        if isinstance(schema, list):
            return [self._resolved(value) for value in schema]
        return schema


def _enum(kind: type[OpenEnum]) -> dict[str, Any]:
    """Names in lower case, which an editor offers; and as the reader takes them, in any."""
    names = [member.name for member in kind if member]
    described = docstrings(kind)
    meanings = "\n".join(f"* `{n.lower()}`: {described[n]}" for n in names if n in described)
    ways = "|".join("".join(_any_case(letter) for letter in name) for name in names)
    return {
        "description": f"{_words(kind.__doc__ or '')}\n\n{meanings}".strip(),
        "anyOf": [
            {"enum": [name.lower() for name in names]},
            {"type": "string", "pattern": rf"^\s*({ways})\s*$"},
        ],
    }


def _any_case(letter: str) -> str:
    return "[-_]" if letter == "_" else f"[{letter.upper()}{letter.lower()}]"


def docstrings(kind: type) -> dict[str, str]:
    """What stands below each field of a class in its source; nothing where that is not there."""
    try:
        source = textwrap.dedent(inspect.getsource(kind))
    except OSError:
        return {}
    found: dict[str, str] = {}
    statements = cast("ast.ClassDef", ast.parse(source).body[0]).body
    for statement, after in itertools.pairwise(statements):
        if isinstance(statement, ast.AnnAssign):
            target: ast.expr = statement.target
        elif isinstance(statement, ast.Assign):
            target = statement.targets[0]
        else:
            continue
        is_text = (
            isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
            and isinstance(after.value.value, str)
        )
        if isinstance(target, ast.Name) and is_text:
            text = cast("ast.Constant", cast("ast.Expr", after).value).value
            found[target.id] = _words(str(text))
    return found


def _words(text: str) -> str:
    """A docstring as it is read: paragraphs of one line each."""
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
