"""Ports of a cluster's daemons, each with what it is for."""

from __future__ import annotations

import threading

from integration.clusters.free_ports import free_ports

_AT_ONCE = 64
"""More than two of each daemon and a few NodeManagers take."""


class Ports:
    """A port of its own for each purpose, the same whenever it is asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free: list[int] = []
        self._given: dict[str, int] = {}

    def __getitem__(self, purpose: str) -> int:
        with self._lock:
            if purpose not in self._given:
                if not self._free:
                    self._free = list(set(free_ports(_AT_ONCE)) - set(self._given.values()))
                self._given[purpose] = self._free.pop()
            return self._given[purpose]

    def address(self, purpose: str) -> str:
        """``localhost:port``."""
        return f"localhost:{self[purpose]}"
