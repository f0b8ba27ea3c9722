"""What the enumerations of this package have in common."""

from __future__ import annotations

import enum
from typing import TypeVar

_E = TypeVar("_E", bound="OpenEnum")


class OpenEnum(enum.IntEnum):
    """
    An enumeration of the contract, with the contract's numbers.

    A number newer than this SDK reads as `UNKNOWN`, which each subclass defines as 0, so an
    Application Master of a later version can be talked to.
    """

    @classmethod
    def _missing_(cls, value: object) -> OpenEnum | None:
        # Only for numbers: a misspelt word is the caller's mistake, not the future.
        return cls(0) if isinstance(value, int) and value != 0 else None

    @classmethod
    def parse(cls: type[_E], text: str) -> _E:
        """
        Returns the member of this name, in upper or lower case, with `-` or `_`.

        Raises:
            ValueError: There is none; the message names those there are.
        """
        member = cls.__members__.get(text.strip().upper().replace("-", "_"))
        if member is None or member == 0:
            known = ", ".join(m.name.lower() for m in cls if m != 0)
            raise ValueError(f"{text!r} is none of: {known}")
        return member

    @classmethod
    def _named(cls: type[_E], name: str | None) -> _E:
        """The member of this name; `UNKNOWN` if there is none."""
        return cls.__members__.get(name or "", cls(0))

    def __str__(self) -> str:
        return self.name

    def __format__(self, format_spec: str) -> str:
        return format(self.name, format_spec)  # the same on Python 3.10 and 3.12
