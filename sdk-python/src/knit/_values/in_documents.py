"""How a field is written in a document, where its type alone does not say it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

Structure = Callable[[Any, type], Any]
"""Makes a value of a class from plain data."""

_KEY = "knit.document"


def _as_given(value: Any, _: Structure) -> Any:
    return value  # the class's own converter reads it


@attrs.frozen(kw_only=True)
class InDocuments:
    """What is said of one field."""

    name: str | None
    """Its name there, where it is another one."""
    read: Callable[[Any, Structure], Any] | None
    """Makes plain data into what the class takes. None: as the field's type is read."""
    write: Callable[[Any], Any] | None
    """Makes the value into plain data. None: as the field's type is written."""
    omit_default: bool
    """Whether it is left out where it has its default."""
    check_key: Callable[[str], None] | None
    """Of a mapping: raises SpecError for a key that is none."""


def in_documents(
    name: str | None = None,
    *,
    read: Callable[[Any, Structure], Any] | None = _as_given,
    write: Callable[[Any], Any] | None = None,
    omit_default: bool = False,
    check_key: Callable[[str], None] | None = None,
) -> Mapping[str, Any]:
    """The metadata of a field that is written in a way of its own."""
    return {
        _KEY: InDocuments(
            name=name, read=read, write=write, omit_default=omit_default, check_key=check_key
        )
    }


def said_of(field: attrs.Attribute[Any]) -> InDocuments | None:
    """What a field's metadata say; None if nothing."""
    found: InDocuments | None = field.metadata.get(_KEY)
    return found


def described(value: object) -> str:
    """A value of the document for a message: short, and nothing of what it may hold of secrets."""
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    if value is None:
        return "nothing"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
