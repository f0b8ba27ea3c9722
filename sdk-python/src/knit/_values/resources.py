"""Amounts of what a node offers, and how people write them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING

import attrs

from knit._values.in_documents import in_documents
from knit.exceptions import SpecError

if TYPE_CHECKING:
    from knit.v1 import resource_pb2

MIB = 1024 * 1024
LARGEST = 2**31 - 1
"""YARN counts MiB and virtual cores in 32 bits."""

_AMOUNT = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([A-Za-z]*)\s*", re.ASCII)
_BYTES: dict[str, int] = {
    **{name: 1024**power for power, name in enumerate(["b", "kib", "mib", "gib", "tib", "pib"])},
    **{name: 1000**power for power, name in enumerate(["b", "kb", "mb", "gb", "tb", "pb"])},
    # As java -Xmx and Hadoop's own options take them.
    **{name: 1024**power for power, name in enumerate(["k", "m", "g", "t", "p"], start=1)},
    "": MIB,
}


def parse_memory(value: str | int) -> int:
    """
    Returns an amount of memory in MiB, rounded up.

    Args:
        value: Text such as `512 MiB`, `1.5 GiB` (powers of 1024), `2 GB` (powers of 1000) or
            `2g` (as for Java, powers of 1024), or a number of MiB.

    Raises:
        SpecError: It is not an amount, is not positive, or is more than YARN can count.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        mib = value
    elif isinstance(value, str):
        mib = _parse_text(value)
    else:
        raise SpecError(
            f"The memory is {value!r}: give a whole number of MiB, or text such as '1.5 GiB'."
        )
    if mib < 1:
        raise SpecError(f"The memory is {value!r}: give at least 1 MiB.")
    if mib > LARGEST:
        raise SpecError(f"The memory is {value!r}: YARN counts no further than {LARGEST} MiB.")
    return mib


def _parse_text(text: str) -> int:
    match = _AMOUNT.fullmatch(text)
    factor = _BYTES.get(match[2].lower()) if match else None
    if match is None or factor is None:
        raise SpecError(
            f"The memory {text!r} is no amount: write it like '512 MiB', '1.5 GiB' or '2 GB'."
        )
    amount = match[1] + "0" if match[1].endswith(".") else match[1]
    return math.ceil(Fraction(amount) * factor / MIB)


def format_memory(mib: int) -> str:
    """Returns an amount as people write it; `parse_memory` returns the same number for it."""
    for unit, size in (("TiB", 1024 * 1024), ("GiB", 1024)):
        if mib >= size and mib % size == 0:
            return f"{mib // size} {unit}"
    return f"{mib} MiB"


def whole_number(least: int) -> Callable[[object, attrs.Attribute[int], object], None]:
    """A validator for what YARN counts, from so many on."""

    def check(_: object, attribute: attrs.Attribute[int], value: object) -> None:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= LARGEST:
            raise SpecError(f"{attribute.name} is {value!r}: give a whole number, {least} or more.")

    return check


@attrs.frozen
class Resources:
    """
    An amount of what a node offers.

    YARN rounds a request up to the scheduler's step, so what is granted can be more than what
    was asked for, never less.
    """

    memory_mib: int = attrs.field(
        default=512,
        alias="memory",
        converter=parse_memory,
        metadata=in_documents("memory", write=format_memory),
    )
    """Memory in MiB (1024 * 1024 bytes); given as `memory`, text such as `1.5 GiB` or MiB."""
    vcores: int = attrs.field(default=1, validator=whole_number(1))
    """Virtual cores."""

    def __str__(self) -> str:
        cores = "1 vcore" if self.vcores == 1 else f"{self.vcores} vcores"
        return f"{format_memory(self.memory_mib)}, {cores}"

    @classmethod
    def _from_proto(cls, message: resource_pb2.Resource) -> Resources:
        # What an Application Master says is read, not refused, so it is brought into range.
        memory, vcores = (
            min(max(1, amount), LARGEST) for amount in (message.memory_mib, message.vcores)
        )
        return cls(memory=memory, vcores=vcores)

    def _to_proto(self) -> resource_pb2.Resource:
        from knit.v1 import resource_pb2

        return resource_pb2.Resource(memory_mib=self.memory_mib, vcores=self.vcores)
