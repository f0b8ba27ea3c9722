"""What a service waits for before it begins."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from knit._values.enums import OpenEnum
from knit._values.in_documents import Structure, described, each_of
from knit._values.places import Keys, at
from knit.exceptions import SpecError


class DependencyCondition(OpenEnum):
    """What a service can wait for."""

    UNKNOWN = 0
    """A value newer than this SDK."""
    STARTED = 1
    """Each rank it began with was started once, that is, was RUNNING."""
    READY = 2
    """Each of its ranks is ready at the same time."""
    FINISHED = 3
    """Each of its ranks has SUCCEEDED."""


Depends: TypeAlias = "Mapping[str, DependencyCondition]"


def to_depends(value: Any) -> Depends:
    """Returns conditions by service, from a list of services or a mapping of them."""
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        raise SpecError(
            f"depends is {value!r}: give a list of services, or a mapping of services to "
            "conditions."
        )
    found: dict[str, DependencyCondition] = {}
    pairs = (
        value.items()
        if isinstance(value, Mapping)
        else ((name, DependencyCondition.READY) for name in value)
    )
    for index, (name, condition) in enumerate(pairs):
        key: str | int = str(name) if isinstance(value, Mapping) else index
        if not isinstance(name, str):
            raise at((key,), f"{name!r} is no name of a service.", below="depends")
        if not isinstance(condition, DependencyCondition) or not condition:
            raise at(
                (key,), f"{condition!r} is none: give a knit.DependencyCondition.", below="depends"
            )
        found[name] = condition
    return found


def depends_from_document(value: Any, structure: Structure) -> Any:
    """Returns what `to_depends` takes, from what a document may say."""
    if isinstance(value, Mapping):
        read = each_of(value, lambda _, condition: structure(condition, DependencyCondition))
        return dict(zip(value, read, strict=True))
    if not isinstance(value, (list, tuple)):
        raise SpecError(
            f"{described(value)} is neither a list of services nor a mapping of services to "
            "conditions."
        )
    return value


def depends_to_document(value: Depends) -> Any:
    """A list where all are waited for alike, READY; else a mapping."""
    if all(condition is DependencyCondition.READY for condition in value.values()):
        return list(value)
    return {name: condition.name.lower() for name, condition in value.items()}


DEPENDS_SCHEMA: Mapping[str, Any] = {
    "anyOf": [
        {"type": "array", "items": {"type": "string"}},
        {"type": "object", "additionalProperties": {"enum-of": DependencyCondition}},
    ]
}


def check_dependencies(all_depends: Mapping[str, Depends]) -> None:
    """
    Raises for a service that waits for one that is not there, or in the end for itself.

    Args:
        all_depends: What each service of the application waits for, by name.

    Raises:
        SpecError: It says which, and where.
    """
    for name, depends in all_depends.items():
        for index, other in enumerate(depends):
            if other not in all_depends:
                close = difflib.get_close_matches(other, all_depends, n=1)
                hint = f"did you mean {close[0]!r}?" if close else "name one of this application."
                raise at(_place(name, depends, index), f"there is no service {other!r}: {hint}")
    circle = _circle(all_depends)
    if circle is not None:
        name, other = circle[0], circle[1]
        depends = all_depends[name]
        way = " → ".join(circle)
        raise at(
            _place(name, depends, list(depends).index(other)),
            f"services wait for one another in a circle, {way}: none of them would ever begin.",
        )


def _place(name: str, depends: Depends, index: int) -> Keys:
    # As it is written: a list where all are READY.
    as_list = isinstance(depends_to_document(depends), list)
    return ("services", name, "depends", index if as_list else list(depends)[index])


def _circle(all_depends: Mapping[str, Depends]) -> list[str] | None:
    """The names on one way around, the first one also at the end; None if there is none."""
    done: set[str] = set()
    for start in all_depends:
        way: dict[str, None] = {}  # in order, and looked into for each step
        waiting = [iter([start])]
        while waiting:
            name = next(waiting[-1], None)
            if name is None:
                waiting.pop()
                if way:
                    done.add(way.popitem()[0])
            elif name in way:
                names = list(way)
                return [*names[names.index(name) :], name]
            elif name not in done:
                way[name] = None
                waiting.append(iter(all_depends[name]))
    return None
