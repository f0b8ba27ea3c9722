"""
Hears from containers the moment they begin, on any cluster: they connect and say the time.

The time is the container's own, taken before it connects. All containers share this machine's
clock, in Docker too.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import attrs

from integration.bench.errors import TooLateError

PATIENCE_SECONDS = 60.0


@attrs.define
class Stamps:
    """The times at which containers began, in nanoseconds since the epoch."""

    _server: socket.socket
    _host: str
    _heard: list[int] = attrs.field(factory=list)
    _changed: threading.Condition = attrs.field(factory=threading.Condition)

    def command(self, then: str = "") -> str:
        """What a container runs: it writes the time, says it here, and sleeps."""
        port = self._server.getsockname()[1]
        say = f"t=$(date +%s%N); echo $t; echo $t > /dev/tcp/{self._host}/{port}"
        return "; ".join(filter(None, [say, then, "exec sleep 3600"]))

    def wait_for(self, count: int) -> list[int]:
        """
        The times in order, once so many containers have begun.

        Raises:
            TooLateError: fewer have, after a minute.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        with self._changed:
            while len(self._heard) < count:
                if not self._changed.wait(deadline - time.monotonic()):
                    raise TooLateError(
                        f"{len(self._heard)} of {count} containers had begun "
                        f"after {PATIENCE_SECONDS:g} s"
                    )
            return sorted(self._heard)

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return  # closed: nobody wants to know any more
            with connection, connection.makefile() as lines:
                said = lines.readline().strip()
            if not said.isdigit():
                continue  # killed as it began
            with self._changed:
                self._heard.append(int(said))
                self._changed.notify_all()


@contextlib.contextmanager
def heard_from_containers(host: str) -> Iterator[Stamps]:
    """
    A place that containers can tell the time to.

    Args:
        host: this machine's name, as containers can resolve it.
    """
    with socket.create_server(("", 0), backlog=256) as server:
        stamps = Stamps(server, host)
        threading.Thread(target=stamps._listen, name="stamps", daemon=True).start()
        yield stamps
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)  # wakes the one who listens
