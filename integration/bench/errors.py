"""What can go wrong while measuring. None of it is a hang."""

from __future__ import annotations


class BenchError(Exception):
    """A measurement could not be made; the message shows the evidence."""


class ClientFailedError(BenchError):
    """A measured client process ended without its answer, or gave one that cannot be read."""


class TooLateError(BenchError):
    """Something did not happen before its deadline."""


class ClusterFailedError(BenchError):
    """The ResourceManager or the NameNode refused a request of the bench itself."""


class SkeinMissingError(BenchError):
    """skein cannot be run here; knit and the floor are measured without it."""
