"""Programs as processes of their own, the command `knit` above all."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import IO

import attrs

from integration.applications import PATIENCE
from integration.clusters import Cluster
from integration.waiting import wait_until


@attrs.define
class Running:
    """A program that runs, and what it has printed so far."""

    process: subprocess.Popen[bytes]
    _out: bytearray = attrs.field(factory=bytearray)
    _err: bytearray = attrs.field(factory=bytearray)
    _readers: list[threading.Thread] = attrs.field(factory=list)

    def __attrs_post_init__(self) -> None:
        for pipe, collected in ((self.process.stdout, self._out), (self.process.stderr, self._err)):
            assert pipe is not None
            reader = threading.Thread(target=_collect, args=(pipe, collected), daemon=True)
            reader.start()
            self._readers.append(reader)

    @property
    def out(self) -> str:
        return self._out.decode(errors="replace")

    @property
    def err(self) -> str:
        return self._err.decode(errors="replace")

    def wait_for_output(self, text: str, count: int = 1) -> None:
        """Wait until it has printed this so often."""
        wait_until(
            lambda: self.out.count(text) >= count or self.process.poll() is not None,
            what=f"{text!r} was not printed",
            timeout=PATIENCE,
            evidence=self.evidence,
        )
        assert self.out.count(text) >= count, f"it has ended before\n{self.evidence()}"

    def wait_for_error_output(self, text: str) -> None:
        """Wait until it has said this on its standard error."""
        wait_until(
            lambda: text in self.err or self.process.poll() is not None,
            what=f"{text!r} was not said",
            timeout=PATIENCE,
            evidence=self.evidence,
        )
        assert text in self.err, f"it has ended before\n{self.evidence()}"

    def interrupt(self) -> None:
        """What Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)

    def wait(self, timeout: timedelta = PATIENCE) -> int:
        """Wait for its end and return its exit status."""
        try:
            status = self.process.wait(timeout.total_seconds())
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it does not end\n{self.evidence()}") from None
        for reader in self._readers:
            reader.join(5)
        return status

    def evidence(self) -> str:
        return f"--- stdout\n{self.out[-5000:]}\n--- stderr\n{self.err[-5000:]}"


def _collect(pipe: IO[bytes], collected: bytearray) -> None:
    while data := os.read(pipe.fileno(), 65536):
        collected += data


@contextlib.contextmanager
def start(
    command: Sequence[str], environment: Mapping[str, str] | None = None
) -> Iterator[Running]:
    """Start a program, by default with the environment here; it does not outlive the block."""
    process = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield Running(process)
    finally:
        process.kill()
        process.wait()


@attrs.frozen
class CommandLine:
    """Starts `knit` on a cluster."""

    cluster: Cluster

    @property
    def environment(self) -> dict[str, str]:
        """As a user's shell has it."""
        return {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HADOOP_CONF_DIR": str(self.cluster.conf_dir),
            "HADOOP_USER_NAME": self.cluster.user,
        }

    @contextlib.contextmanager
    def start(self, *arguments: str) -> Iterator[Running]:
        """Start it; it does not outlive the block."""
        knit = Path(sys.executable).parent / "knit"
        with start([str(knit), *arguments], self.environment) as running:
            yield running

    def run(self, *arguments: str, status: int | None = 0) -> Running:
        """Run it to its end, which is to come with this status."""
        with self.start(*arguments) as running:
            actual = running.wait()
        if status is not None:
            assert actual == status, f"exit status {actual}, not {status}\n{running.evidence()}"
        return running
