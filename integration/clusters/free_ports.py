"""Ports for servers that are started in a moment."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import threading
from pathlib import Path

from integration.clusters.jars import cache_directory

_BLOCK = 256
"""More than a cluster takes; some forty clusters find one each."""

_lock = threading.Lock()
_kept: list[int] = []
"""Files that say whose the blocks are, locked as long as this process lives."""
_left: list[int] = []
"""Of the block that was taken last."""


def free_ports(count: int) -> list[int]:
    """
    Ports of this machine that are free now, and that no other process of this suite is given.

    A daemon of a cluster may be long in listening at its port, as the standby of a pair is: by
    then a daemon of another cluster could have it. So a process takes blocks for itself.

    Below those the kernel gives to outgoing connections, so that none of these takes one before
    its daemon has started; should another server do so, the start is tried again.
    """
    with _lock:
        found: list[int] = []
        while len(found) < count:
            if not _left:
                _left.extend(_block())
            port = _left.pop()
            if _is_free(port):
                found.append(port)
        return found


def _block() -> list[int]:
    """One that nobody has; any, where all are taken."""
    try:
        ephemeral = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except OSError:
        ephemeral = 32768
    first, end = min(20_000, max(ephemeral - 10_000, 1024)), max(ephemeral, 30_000)
    blocks = [range(start, min(start + _BLOCK, end)) for start in range(first, end, _BLOCK)]
    random.SystemRandom().shuffle(blocks)
    block = next(filter(_take, blocks), blocks[0])
    ports = list(block)
    random.SystemRandom().shuffle(ports)
    return ports


def _take(block: range) -> bool:
    """Whether it is this process's from now on; the system gives it back with the process's end."""
    directory = cache_directory() / "ports"
    directory.mkdir(parents=True, exist_ok=True)
    file = os.open(directory / str(block.start), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        return False
    _kept.append(file)
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as server:
        try:
            server.bind(("localhost", port))
        except OSError:
            return False
    return True
