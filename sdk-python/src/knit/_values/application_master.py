"""What a specification says of its Application Master."""

from __future__ import annotations

import attrs

from knit._values.checking import instance_of
from knit._values.enums import OpenEnum
from knit._values.places import at
from knit._values.resources import Resources


class AttemptPolicy(OpenEnum):
    """What makes YARN begin an application anew, as far as `max_attempts` allows."""

    UNKNOWN = 0
    """A value newer than this SDK."""
    CRASHES = 1
    """An Application Master that ended without telling how the application did."""
    FAILURES = 2
    """Also an application that FAILED. One that a client ended is not begun anew."""


class LogLevel(OpenEnum):
    """Which messages are written."""

    UNKNOWN = 0
    """A value newer than this SDK."""
    DEBUG = 1
    """Everything."""
    INFO = 2
    """What happens."""
    WARN = 3
    """What may become a failure."""
    ERROR = 4
    """What failed."""


def check_master(_: object, attribute: attrs.Attribute[Resources], value: object) -> None:
    """Refuses what YARN would drop."""
    instance_of(Resources)(None, attribute, value)
    if isinstance(value, Resources) and value.others:
        raise at(
            ("others",),
            "YARN takes memory and vcores for an Application Master over REST, and would drop "
            f"{next(iter(value.others))} without a word: give it to a service.",
            below=attribute.name,
        )
