"""What the readers of both formats have in common: one file of one node."""

from __future__ import annotations

import abc
import contextlib
import re
from collections.abc import Iterator, Sequence
from typing import Protocol

import attrs

from knit._cluster.logs.compression import UnknownCodecError
from knit._cluster.logs.reading import MalformedError, Reader
from knit.exceptions import LogFormatError

# A node's file is called host_port, and with rolling aggregation host_port_milliseconds.
_NAME = re.compile(r"(?P<host>.+?)_(?P<port>\d{1,5})(?:_(?P<time>\d{10,}))?")


class RemoteBytes(Protocol):
    """A file of the cluster; how much of it is there, and how to get at it."""

    path: str
    size_bytes: int

    def stream(self, offset_bytes: int, length_bytes: int) -> Iterator[bytes]:
        """A part of it, as it arrives."""

    def read(self, offset_bytes: int, length_bytes: int) -> bytes:
        """A small part of it."""


@attrs.frozen
class Piece:
    """A log file of a container, or as much of it as was aggregated at one time."""

    container_id: str
    name: str
    size_bytes: int
    data: Reader
    """Its bytes, which have to be read or left alone before the next piece is asked for."""


class NodeFile(abc.ABC):
    """The logs of one application from one node."""

    def __init__(self, source: RemoteBytes) -> None:
        self.source = source
        self.node_id = node_id_of(self.name)
        """The node, as YARN calls it."""
        match = _NAME.fullmatch(self.name)
        self.is_rolling = bool(match and match["time"])
        """Whether more files of this node may follow, or came before."""

    @property
    def name(self) -> str:
        """The file's name."""
        return self.source.path.rpartition("/")[2]

    @abc.abstractmethod
    def container_ids(self) -> Sequence[str]:
        """
        The containers that have logs in it. Reads no more of them than it must.

        Raises:
            LogFormatError: It cannot be read.
        """

    @abc.abstractmethod
    def pieces(self, container_id: str) -> Iterator[Piece]:
        """
        The log files of one container, in the file's order; others are not read.

        Raises:
            LogFormatError: While iterating, or while a piece's data are read.
        """


def node_id_of(name: str) -> str:
    """The node whose logs are in a file of this name."""
    match = _NAME.fullmatch(name)
    return f"{match['host']}:{match['port']}" if match else name


@contextlib.contextmanager
def readable(path: str) -> Iterator[None]:
    """Says in our words what is wrong with a file."""
    try:
        yield
    except UnknownCodecError as error:
        codec = str(error)
        raise LogFormatError(
            f"The aggregated logs in {path} are compressed with {codec!r}, which knit cannot "
            "read. Read them with the cluster's own `yarn logs`, and for the logs to come set "
            "yarn.nodemanager.log-aggregation.compression-type to gz or none on the nodes.",
            path=path,
            codec=codec,
        ) from error
    except MalformedError as error:
        raise LogFormatError(
            f"The aggregated logs in {path} cannot be read: {error}. The file may be damaged or "
            "cut off; see whether the cluster's own `yarn logs` can read it.",
            path=path,
        ) from error


class Checked(Reader):
    """Another reader, whose errors are said in our words."""

    def __init__(self, inner: Reader, path: str) -> None:
        self._inner = inner
        self._path = path

    def read_some(self, limit: int) -> bytes:
        with readable(self._path):
            return self._inner.read_some(limit)

    def skip(self, size: int) -> None:
        with readable(self._path):
            self._inner.skip(size)
