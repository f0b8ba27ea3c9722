"""The near end of the supervisor: processes that end when this one does."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from integration.clusters import supervisor


class Processes:
    """Processes with names, all of which end, at the latest, with this process."""

    def __init__(self, directory: Path) -> None:
        """
        Start the supervisor.

        Args:
            directory: removed at the end.
        """
        self._lock = threading.Lock()
        self._supervisor = subprocess.Popen(
            [sys.executable, "-I", "-S", supervisor.__file__, str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # so that Ctrl-C at the terminal does not reach it
        )

    def start(
        self, name: str, argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, log: Path
    ) -> int:
        """Start a process, its output appended to the log; return its id."""
        request = {"name": name, "argv": argv, "env": env, "cwd": str(cwd), "log": str(log)}
        return int(self._ask("start", **request))

    def statuses(self) -> dict[str, int | None]:
        """The exit status of each process, in the order of their start; None while it runs."""
        return dict(self._ask("statuses"))

    def signal(self, name: str, number: int) -> None:
        """Send a signal to a process, but not to its children."""
        self._ask("signal", name=name, number=int(number))

    def kill(self, name: str) -> None:
        """Kill a process and all its descendants, and wait until it is dead."""
        self._ask("kill", name=name)

    def end(self, *, keep_logs: bool) -> None:
        """Kill all, remove the directory (but not its ``logs`` if they are kept). Safe twice."""
        with self._lock, contextlib.suppress(BrokenPipeError, ValueError):
            stdin = self._pipe()
            json.dump({"verb": "end", "keep_logs": keep_logs}, stdin)
            stdin.write("\n")
            stdin.close()
        self._supervisor.wait()

    def _ask(self, verb: str, **request: Any) -> Any:
        assert self._supervisor.stdout is not None
        with self._lock:
            stdin = self._pipe()
            json.dump({"verb": verb, **request}, stdin)
            stdin.write("\n")
            stdin.flush()
            line = self._supervisor.stdout.readline()
        if not line:
            raise RuntimeError("The cluster's supervisor is gone, and the cluster with it")
        reply = json.loads(line)
        if "error" in reply:
            raise RuntimeError(f"The cluster's supervisor could not {verb}: {reply['error']}")
        return reply["answer"]

    def _pipe(self) -> Any:
        return self._supervisor.stdin
