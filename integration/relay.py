"""A network between a client and a server that breaks when a test wants it to."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType

_PIECE_BYTES = 65_536


class Relay:
    """
    Listens on this machine and hands on to another address what comes, and back.

    Args:
        address: Of the server, ``host:port``.
    """

    def __init__(self, address: str) -> None:
        self._host, _, port = address.rpartition(":")
        self._port = int(port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.connections = 0
        """How many were made through it."""
        self._lock = threading.Lock()
        # Guarded by _lock: both ends of each connection, and whether new ones are let through.
        self._ends: list[socket.socket] = []
        self._is_up = True

    def __enter__(self) -> Relay:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.cut()
        self._listener.close()

    def cut(self) -> None:
        """Break all connections, and every new one at once, until `mend`."""
        with self._lock:
            self._is_up = False
            ends, self._ends = self._ends, []
        _break(ends)

    def mend(self) -> None:
        """Let new connections through again."""
        with self._lock:
            self._is_up = True

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return  # closed
            if self._is_up and (far := self._reach()) and self._joins(near, far):
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=_hand_on, args=(source, target), daemon=True).start()
            else:
                near.close()

    def _reach(self) -> socket.socket | None:
        try:
            far = socket.create_connection((self._host, self._port), timeout=20)
        except OSError:
            return None
        far.settimeout(None)
        return far

    def _joins(self, near: socket.socket, far: socket.socket) -> bool:
        """Whether both are a connection now: not if it was cut meanwhile."""
        with self._lock:
            if self._is_up:
                self.connections += 1
                self._ends += [near, far]
                return True
        far.close()
        return False


def _hand_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(_PIECE_BYTES):
            target.sendall(piece)
    _break([source, target])


def _break(ends: list[socket.socket]) -> None:
    """Wakes who waits for them, too."""
    for end in ends:
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
