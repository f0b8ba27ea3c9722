"""Runs a measured client, reads its answers, and never waits without end."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from integration.bench.errors import ClientFailedError, TooLateError

ROOT = Path(__file__).parents[2]


@attrs.define
class ClientProcess:
    """A client process that has been started."""

    started_nanos: int
    """When it was started, in nanoseconds since the epoch."""
    _process: subprocess.Popen[str]
    _stderr: Path
    _lines: queue.SimpleQueue[str | None]
    _deadline: float

    def answer(self) -> dict[str, Any]:
        """
        The next line it prints.

        Raises:
            ClientFailedError: it ended, or printed something else.
            TooLateError: its time is up.
        """
        try:
            line = self._lines.get(timeout=max(0.0, self._deadline - time.monotonic()))
        except queue.Empty:
            raise TooLateError(f"A client did not answer in time.{self._evidence()}") from None
        if line is None:
            raise ClientFailedError(
                f"A client ended with exit code {self._process.wait(5)}.{self._evidence()}"
            )
        try:
            answer: dict[str, Any] = json.loads(line)
        except ValueError as error:
            raise ClientFailedError(f"A client printed {line!r}.{self._evidence()}") from error
        return answer

    def go(self) -> None:
        """Let it do its next step."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write("go\n")
            self._process.stdin.flush()
        except OSError as error:
            raise ClientFailedError(f"A client is gone.{self._evidence()}") from error

    def _evidence(self) -> str:
        said = self._stderr.read_text(encoding="utf-8", errors="replace")[-3000:]
        return f" Its standard error ends with:\n{said}"


@contextmanager
def started(
    python: Path,
    module: str,
    arguments: Sequence[str],
    env: Mapping[str, str],
    *,
    timeout_seconds: float,
) -> Iterator[ClientProcess]:
    """A client of ``integration.bench.clients``; killed, if it still runs, on the way out."""
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    with tempfile.NamedTemporaryFile(prefix="bench-client-", suffix=".stderr") as stderr:
        deadline = time.monotonic() + timeout_seconds
        started_nanos = time.time_ns()
        process = subprocess.Popen(
            [python, "-m", f"integration.bench.clients.{module}", *arguments],
            cwd=ROOT,
            env={**os.environ, **env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )

        def read() -> None:
            assert process.stdout is not None
            for line in process.stdout:
                lines.put(line)
            lines.put(None)

        threading.Thread(target=read, daemon=True).start()
        try:
            yield ClientProcess(started_nanos, process, Path(stderr.name), lines, deadline)
        finally:
            assert process.stdin is not None
            try:
                process.stdin.close()
                process.wait(10)
            except (OSError, subprocess.TimeoutExpired):
                process.kill()
                process.wait()
