"""Where in a specification something is wrong: `services.worker.depends[0]`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from knit.exceptions import SpecError

Keys: TypeAlias = "tuple[str | int, ...]"
"""What leads there: names of fields and of entries, and positions in lists."""


def written(keys: Iterable[str | int]) -> str:
    """Keys as people write them."""
    text = ""
    for key in keys:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else key
    return text


def at(
    keys: Keys, message: str, *, below: str | None = None, kind: type[SpecError] = SpecError
) -> SpecError:
    """
    An error that says where, and can be found in a document.

    Args:
        keys: Where, from the value on that is being made.
        message: What is wrong there.
        below: The field that the keys lead on from, where whoever raises it is told that name
            but the document's reader knows it already.
        kind: Its class.
    """
    shown = keys if below is None else (below, *keys)
    error = kind(f"{written(shown)}: {message}")
    error.__dict__.update(_keys=keys, _said=message)
    return error


def place_of(error: SpecError) -> tuple[Keys, str]:
    """What of an error is a place, from the value on that was being made, and what is the rest."""
    return error.__dict__.get("_keys", ()), error.__dict__.get("_said", str(error))
