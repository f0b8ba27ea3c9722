"""
A program that forks with a handle that was used; `test_fork` runs it.

The Application Master is served by a process that was forked before any of gRPC was used, as it is
another machine's in truth.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
from datetime import timedelta

from knit import Application
from knit._wire import connection
from knit._wire.channel import open_channel
from knit.testing import FakeApplicationMaster
from knit.testing._yarn import FakeYarn


def serve(ready: int, over: int) -> None:
    with FakeApplicationMaster() as fake:
        fake.write(fake.containers()[0].container_id, b"line\n")
        os.write(ready, pickle.dumps((fake.address, fake.tls)))
        os.close(ready)
        os.read(over, 1)


def main() -> int:
    readable, ready = os.pipe()
    over, done = os.pipe()
    if os.fork() == 0:
        os.close(done)
        serve(ready, over)
        os._exit(0)
    os.close(ready)
    with os.fdopen(readable, "rb") as file:
        address, tls = pickle.load(file)
    fake = FakeApplicationMaster()
    fake._address, fake.tls = address, tls
    handle = Application(FakeYarn(fake), fake.application_id, timeout=timedelta(seconds=20))
    assert handle.describe().name == "fake"
    opened: list[str] = []

    def noting(address: str, tls: object) -> object:
        opened.append(address)
        return open_channel(address, tls)  # type: ignore[arg-type]

    connection.open_channel = noting  # type: ignore[assignment, attr-defined]
    # A thread of the parent's may hold the lock at the moment of the fork.
    handle._connection._lock.acquire()
    results = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            signal.alarm(60)
            assert handle.describe().name == "fake"
            assert opened == [address], "the child uses its parent's channel"
            assert next(iter(handle.logs(follow=True))).text == "line"
            os._exit(0)
        results.append(os.waitpid(child, 0)[1])
    handle._connection._lock.release()
    assert handle.describe().name == "fake"
    assert opened == [], "the parent has lost its channel"
    os.write(done, b".")
    return max(results)


if __name__ == "__main__":
    sys.exit(main())
