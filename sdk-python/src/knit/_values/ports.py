"""Ranges of ports, and how people write them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from knit.exceptions import SpecError

VARIABLE = "KNIT_MASTER_PORTS"
"""The ports of Application Masters whose specifications name none, for a whole machine."""

PORTS_SCHEMA: Mapping[str, Any] = {
    "anyOf": [
        {"type": "string", "pattern": r"^\s*[0-9]{1,5}\s*(-\s*[0-9]{1,5}\s*)?$"},
        {"type": "integer", "minimum": 1, "maximum": 65535},
        {
            "type": "array",
            "items": {"type": "integer", "minimum": 1, "maximum": 65535},
            "minItems": 1,
            "maxItems": 2,
        },
        {"type": "null"},
    ]
}
"""Ports in a document; that the last is not before the first cannot be said."""

_RANGE = re.compile(r"\s*(\d{1,5})\s*(?:-\s*(\d{1,5})\s*)?", re.ASCII)


def to_ports(value: object, what: str = "master_ports") -> tuple[int, int] | None:
    """
    The first and the last port of a range such as `50100-50200`, of a pair, or of one port.

    Raises:
        SpecError: It is none, or not within 1 and 65535.
    """
    if value is None:
        return None
    parts: Sequence[object] = ()
    if isinstance(value, str):
        match = _RANGE.fullmatch(value)
        parts = [int(part) for part in match.groups() if part is not None] if match else ()
    elif isinstance(value, int):
        parts = [value]
    elif isinstance(value, Sequence):
        parts = value
    ports = [part for part in parts if isinstance(part, int) and not isinstance(part, bool)]
    if len(ports) not in (1, 2) or len(ports) != len(parts):
        raise SpecError(
            f"{what} is {value!r}: give the first and the last port, such as '50100-50200'."
        )
    first, last = ports[0], ports[-1]
    if not 1 <= first <= last <= 65535:
        raise SpecError(
            f"{what} is {value!r}: ports are 1 to 65535, and the last is not before the first."
        )
    return first, last


def format_ports(ports: tuple[int, int] | None) -> str | None:
    """The same as text; `to_ports` returns the same pair for it."""
    return None if ports is None else f"{ports[0]}-{ports[1]}"


def ports_from_environment(
    environment: Mapping[str, str] | None = None,
) -> tuple[int, int] | None:
    """
    What the environment says of the ports; None if nothing.

    Raises:
        SpecError: It names no ports.
    """
    text = (os.environ if environment is None else environment).get(VARIABLE)
    return to_ports(text, f"The variable {VARIABLE}") if text else None
