"""How a field is written in a document, where its type alone does not say it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from knit.exceptions import SpecError

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
    schema: Mapping[str, Any]
    """What a document may say, as JSON Schema, beside or instead of what its type says."""


def in_documents(
    name: str | None = None,
    *,
    read: Callable[[Any, Structure], Any] | None = _as_given,
    write: Callable[[Any], Any] | None = None,
    omit_default: bool = False,
    check_key: Callable[[str], None] | None = None,
    schema: Mapping[str, Any] | None = None,
) -> Mapping[str, Any]:
    """The metadata of a field that is written in a way of its own."""
    return {
        _KEY: InDocuments(
            name=name,
            read=read,
            write=write,
            omit_default=omit_default,
            check_key=check_key,
            schema=schema or {},
        )
    }


OMIT_DEFAULT = in_documents(read=None, omit_default=True)
"""Of a field that is written as its type is, and left out where it has its default."""


def said_of(field: attrs.Attribute[Any]) -> InDocuments | None:
    """What a field's metadata say; None if nothing."""
    found: InDocuments | None = field.metadata.get(_KEY)
    return found


def each_of(value: Mapping[Any, Any] | Sequence[Any], read: Callable[[Any, Any], Any]) -> list[Any]:
    """
    The entries of a mapping or a list, each read by itself.

    Args:
        value: The mapping or list.
        read: Is given the key, or the position, and the entry.

    Raises:
        cattrs.IterableValidationError: All that is wrong with them, each with where.
    """
    import cattrs

    found: list[Any] = []
    errors: list[Exception] = []
    pairs = value.items() if isinstance(value, Mapping) else enumerate(value)
    for key, entry in pairs:
        try:
            found.append(read(key, entry))
        except (SpecError, cattrs.BaseValidationError) as error:  # noqa: PERF203 - of each
            place = key if isinstance(value, Sequence) else str(key)
            # As cattrs does, where Python 3.10 has no add_note().
            vars(error)["__notes__"] = [cattrs.IterableValidationNote("", place, None)]
            errors.append(error)
    if errors:
        raise cattrs.IterableValidationError("entries", errors, list)
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
