"""Amounts of what a node offers, and how people write them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import attrs

from knit._values.checking import LARGEST, whole_number
from knit._values.in_documents import in_documents
from knit._values.places import at
from knit._values.reading import as_said
from knit.exceptions import SpecError

if TYPE_CHECKING:
    from knit.v1 import resource_pb2

MIB = 1024 * 1024

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


MOST_OTHERS = 32
"""Named resources of one container."""
_LARGEST_OTHER = 2**63 - 1
_OTHER_NAME = r"(?:[A-Za-z0-9](?:[-.A-Za-z0-9]*[A-Za-z0-9])?/)?[A-Za-z][-_.A-Za-z0-9]*"
_OWN_NAMES = {
    "memory": "memory",
    "memory-mb": "memory",
    "vcores": "vcores",
    "cpu": "vcores",
}
_MEMORY_SCHEMA: Mapping[str, Any] = {
    "anyOf": [
        {"type": "integer", "minimum": 1, "maximum": LARGEST},
        {
            "type": "string",
            "pattern": (
                r"^(?!\s*[0.]+\s*[A-Za-z]*\s*$)\s*([0-9]+(\.[0-9]*)?|\.[0-9]+)\s*"
                r"([bB]|[kKmMgGtTpP]([iI]?[bB])?)?\s*$"
            ),
        },
    ]
}
_OTHERS_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "maxProperties": MOST_OTHERS,
    "propertyNames": {
        "pattern": f"^{_OTHER_NAME}$",
        "maxLength": 255,
        "not": {"enum": sorted(_OWN_NAMES)},
    },
    "additionalProperties": {"type": "integer", "minimum": 1, "maximum": _LARGEST_OTHER},
}


def _to_others(value: Mapping[str, int]) -> Mapping[str, int]:
    if not isinstance(value, Mapping):
        raise SpecError(
            f"others is {value!r}: give a mapping of names such as 'yarn.io/gpu' to amounts."
        )
    if len(value) > MOST_OTHERS:
        raise SpecError(f"others has {len(value)} entries: give {MOST_OTHERS} at most.")
    for name, amount in value.items():
        if not isinstance(name, str) or len(name) > 255 or not re.fullmatch(_OTHER_NAME, name):
            raise SpecError(
                f"others has {name!r}, which is no name of a resource: one looks like "
                "'yarn.io/gpu'."
            )
        if name in _OWN_NAMES:
            raise SpecError(f"others has {name!r}: give that as {_OWN_NAMES[name]}.")
        if (
            not isinstance(amount, int)
            or isinstance(amount, bool)
            or not 1 <= amount <= _LARGEST_OTHER
        ):
            raise at(
                (name,), f"{amount!r} is no amount: give a whole number, 1 or more.", below="others"
            )
    return dict(value)


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
        metadata=in_documents("memory", write=format_memory, schema=_MEMORY_SCHEMA),
    )
    """Memory in MiB (1024 * 1024 bytes); given as `memory`, text such as `1.5 GiB` or MiB."""
    vcores: int = attrs.field(default=1, validator=whole_number(1))
    """Virtual cores."""
    others: Mapping[str, int] = attrs.field(
        factory=dict,
        converter=_to_others,
        hash=False,
        metadata=in_documents(write=dict, omit_default=True, schema=_OTHERS_SCHEMA),
    )
    """
    What else the cluster's administrators have defined, by YARN's name, in whole units:
    `{"yarn.io/gpu": 1}`. A name that the cluster does not know is refused before submission.
    """

    def __str__(self) -> str:
        cores = "1 vcore" if self.vcores == 1 else f"{self.vcores} vcores"
        others = (f"{amount} {name}" for name, amount in self.others.items())
        return ", ".join((format_memory(self.memory_mib), cores, *others))

    @classmethod
    def _from_proto(cls, message: resource_pb2.Resource) -> Resources:
        # What an Application Master says is read, not refused, so it is brought into range.
        memory, vcores = (
            min(max(1, amount), LARGEST) for amount in (message.memory_mib, message.vcores)
        )
        return as_said(cls, memory_mib=int(memory), vcores=int(vcores), others=dict(message.others))

    def _to_proto(self) -> resource_pb2.Resource:
        from knit.v1 import resource_pb2

        return resource_pb2.Resource(
            memory_mib=self.memory_mib, vcores=self.vcores, others=self.others
        )
