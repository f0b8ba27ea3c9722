"""What YARN calls the states of an application."""

from __future__ import annotations

import enum


class YarnState(enum.Enum):
    """Where an application is in its life, as the ResourceManager sees it."""

    NEW = "NEW"
    NEW_SAVING = "NEW_SAVING"
    SUBMITTED = "SUBMITTED"
    ACCEPTED = "ACCEPTED"
    RUNNING = "RUNNING"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"
    UNKNOWN = "UNKNOWN"
    """A state that this version of knit does not know."""

    @classmethod
    def _missing_(cls, value: object) -> YarnState:
        return cls.UNKNOWN

    @property
    def is_final(self) -> bool:
        """Whether nothing comes after it."""
        return self in (YarnState.FINISHED, YarnState.FAILED, YarnState.KILLED)


class FinalStatus(enum.Enum):
    """What an Application Master tells YARN as it leaves."""

    UNDEFINED = "UNDEFINED"
    """Nothing yet."""
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    KILLED = "KILLED"
    UNKNOWN = "UNKNOWN"
    """A status that this version of knit does not know."""

    @classmethod
    def _missing_(cls, value: object) -> FinalStatus:
        return cls.UNKNOWN
