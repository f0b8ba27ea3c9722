"""Validators that a specification's fields share; each knows what it takes as JSON Schema."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any

import attrs

from knit._values.characters import check_characters
from knit._values.places import at
from knit.exceptions import SpecError

LARGEST = 2**31 - 1
"""YARN and the contract count in 32 bits."""
LONGEST_DURATION = timedelta(days=366)
"""Of everything that takes time: a year. What is meant to have no end is left out."""


@attrs.frozen
class Check:
    """A validator of attrs, and what it takes as JSON Schema."""

    test: Callable[[str, Any], None]
    """Is given the field's name and the value, and raises SpecError."""
    schema: Mapping[str, Any]

    def __call__(self, _: object, attribute: attrs.Attribute[Any], value: object) -> None:
        """As attrs calls a validator."""
        self.test(attribute.name, value)


def optional(check: Check) -> Check:
    """The same, and None."""

    def test(name: str, value: Any) -> None:
        if value is not None:
            check.test(name, value)

    return Check(test, check.schema)


def whole_number(least: int, most: int = LARGEST) -> Check:
    """A validator for what is counted, from so many on."""

    def test(name: str, value: Any) -> None:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            upto = f"{least} or more" if most == LARGEST else f"{least:,} to {most:,}"
            raise SpecError(f"{name} is {value!r}: give a whole number, {upto}.")

    return Check(test, {"minimum": least, "maximum": most})


def number(least: float, most: float) -> Check:
    """A validator for what is measured."""

    def test(name: str, value: Any) -> None:
        if (
            not isinstance(value, (int, float))
            or isinstance(value, bool)
            or not math.isfinite(value)
            or not least <= value <= most
        ):
            raise SpecError(f"{name} is {value!r}: give a number, {least:g} to {most:g}.")

    return Check(test, {"minimum": least, "maximum": most})


def duration(
    least: timedelta = timedelta(), most: timedelta = LONGEST_DURATION, *, words: str = ""
) -> Check:
    """
    A validator for lengths of time.

    Args:
        least: The shortest.
        most: The longest.
        words: The same in words. Default: "of 366 days at most", with the shortest before it.
    """
    if not words:
        words = "of 366 days at most"
        if least:
            words = f"of {least.total_seconds():g} s at least and {words[3:]}"

    def test(name: str, value: Any) -> None:
        if not isinstance(value, timedelta) or not least <= value <= most:
            raise SpecError(f"{name} is {_time(value)}: give a timedelta {words}.")

    return Check(test, {"minimum": least.total_seconds(), "maximum": most.total_seconds()})


def _time(value: object) -> str:
    return f"{value.total_seconds():g} s" if isinstance(value, timedelta) else repr(value)


def instance_of(kind: type) -> Check:
    """A validator for a value of one of this package's classes."""

    def test(name: str, value: Any) -> None:
        # Not UNKNOWN: whoever writes a specification knows what it means.
        if not isinstance(value, kind) or (isinstance(value, int) and not value):
            raise SpecError(f"{name} is {value!r}: give a knit.{kind.__name__}.")

    return Check(test, {})


def boolean(name: str, value: Any) -> None:
    """Raises unless it is True or False."""
    if not isinstance(value, bool):
        raise SpecError(f"{name} is {value!r}: give True or False.")


true_or_false = Check(boolean, {})


def _text(name: str, value: Any) -> None:
    what = f"The {name.replace('_', ' ')}"
    if not isinstance(value, str):
        raise SpecError(f"{what} is {value!r}: give text.")
    if not value.strip():
        raise SpecError(f"{what} is empty.")
    check_characters(what, value)


text = Check(_text, {"minLength": 1, "pattern": r"\S"})


def matching(pattern: str, words: str) -> Check:
    """
    A validator for text of one form.

    Args:
        pattern: A regular expression for the whole of it, in what Python and JSON Schema share.
        words: What the form is, after "give ".
    """
    form = re.compile(pattern, re.ASCII)

    def test(name: str, value: Any) -> None:
        if not isinstance(value, str) or not form.fullmatch(value):
            raise SpecError(f"{name} is {value!r}: give {words}.")

    return Check(test, {"pattern": f"^(?:{pattern})$"})


label_or_none = optional(
    matching(r"[A-Za-z0-9][-_A-Za-z0-9]{0,254}", "the name of one label, as knit nodes shows it")
)
"""A node label, as YARN takes it: of expressions it takes nothing else."""


_NAME = r"\*|[^\s,*]{1,255}"


def names(what: str, most: int, form: str = _NAME) -> Names:
    """
    What makes a tuple of names of a list of them, and the schema of that list.

    Args:
        what: What each is, for messages: "host".
        most: So many at most.
        form: A regular expression for each.
    """
    schema = {
        "type": "array",
        "items": {"type": "string", "pattern": f"^(?:{form})$"},
        "maxItems": most,
    }
    return Names(what, most, re.compile(form), schema)


@attrs.frozen
class Names:
    """See `names`."""

    what: str
    most: int
    form: re.Pattern[str]
    schema: Mapping[str, Any]

    def of(self, field: str, value: Any) -> tuple[str, ...]:
        """
        The names in a value that is given to a field, in their order, each once.

        Raises:
            SpecError: It is no list of such names, or too long.
        """
        if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
            raise SpecError(f"{field} is {value!r}: give a list.")
        found = tuple(value)
        if len(found) > self.most:
            raise SpecError(f"{field} has {len(found):,} entries: give {self.most:,} at most.")
        for index, each in enumerate(found):
            if not isinstance(each, str) or not self.form.fullmatch(each):
                raise at((index,), f"{each!r} is no name of a {self.what}.", below=field)
        return tuple(dict.fromkeys(found))
