"""Ports for servers that are started in a moment."""

from __future__ import annotations

import itertools
import random
import socket
from pathlib import Path


def free_ports(count: int) -> list[int]:
    """
    Ports of this machine that are free now.

    Below those the kernel gives to outgoing connections, so that none of these takes one before
    its daemon has started; should another server do so, the start is tried again.
    """
    try:
        ephemeral = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except OSError:
        ephemeral = 32768
    candidates = list(range(min(20_000, max(ephemeral - 10_000, 1024)), max(ephemeral, 30_000)))
    random.SystemRandom().shuffle(candidates)
    return list(itertools.islice(filter(_is_free, candidates), count))


def _is_free(port: int) -> bool:
    with socket.socket() as server:
        try:
            server.bind(("localhost", port))
        except OSError:
            return False
    return True
