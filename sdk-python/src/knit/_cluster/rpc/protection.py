"""What protects a connection, once both ends know each other."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from knit.exceptions import ConfigurationError

if TYPE_CHECKING:
    from knit._cluster.configuration.config import ClusterConfig

LARGEST_MESSAGE_BYTES = 65536
"""What one end lets the other wrap at a time, as Java's ends do by default."""

PROTECTION_PROPERTY = "hadoop.rpc.protection"


class SaslRefusedError(Exception):
    """
    Both ends found no way to trust each other.

    Args:
        sentence: Why, and what to do, from after a colon on and without its last stop.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


class Protection(enum.Enum):
    """One of SASL's qualities of protection, by its name there."""

    AUTHENTICATION = "auth"
    """Only who both ends are."""
    INTEGRITY = "auth-int"
    """And that nobody changes what they say."""
    PRIVACY = "auth-conf"
    """And that nobody else can read it."""


class Layer(Protocol):
    """Wraps what leaves, and unwraps what comes, each in its order."""

    @property
    def largest_bytes(self) -> int:
        """How much may be wrapped at a time."""

    def wrap(self, data: bytes) -> bytes:
        """What is sent in place of these bytes."""

    def unwrap(self, data: bytes) -> bytes:
        """What was sent in the form of these bytes."""


def protections_of(config: ClusterConfig) -> Sequence[Protection]:
    """
    What the configuration allows, the best liked first.

    Raises:
        ConfigurationError: It names something else.
    """
    found = config.get_list(PROTECTION_PROPERTY) or ["authentication"]
    try:
        return tuple(Protection[name.upper()] for name in found)
    except KeyError as error:
        raise ConfigurationError(
            f"{PROTECTION_PROPERTY} is {', '.join(found)!r} in {config.where}. It lists some of "
            "authentication, integrity and privacy."
        ) from error


def describe(protections: Sequence[Protection]) -> str:
    """For messages, as the configuration has it."""
    return ", ".join(protection.name.lower() for protection in protections)
