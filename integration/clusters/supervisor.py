"""
Starts the processes of an embedded cluster, and leaves none of them behind.

A process of its own, run as a script. It takes one request per line on its standard input and
answers each with a line on its standard output, both JSON. When its input ends, because it was
asked to or because whoever started it is gone, however that came about, it kills everything it
ever started and removes the cluster's directory.

Nothing can escape: on Linux it is the "child subreaper", so that containers of a dead NodeManager,
which are in sessions of their own, become its children, and should it be killed itself the daemons
go with it. Elsewhere those whose parents live are found, which is all but programs that detach.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


class Processes:
    """The processes started here, by name."""

    def __init__(self) -> None:
        self._pids: dict[str, int] = {}
        self._statuses: dict[int, int] = {}
        self._prctl = _prctl()
        self._prctl(PR_SET_CHILD_SUBREAPER, 1)
        signal.signal(signal.SIGCHLD, lambda *_: self.reap())

    def start(self, name: str, argv: list[str], env: dict[str, str], cwd: str, log: str) -> int:
        def die_with_the_supervisor() -> None:
            self._prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

        with open(log, "ab") as output:
            process = subprocess.Popen(
                argv,
                env=env,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                preexec_fn=die_with_the_supervisor,
            )
        process.returncode = 0  # it is reaped here, not by its Popen
        self._pids[name] = process.pid
        return process.pid

    def statuses(self) -> dict[str, int | None]:
        """The exit status of each process; None while it runs."""
        self.reap()
        return {name: self._statuses.get(pid) for name, pid in self._pids.items()}

    def signal(self, name: str, number: int) -> None:
        """Send a signal to one process, but not to its children."""
        if (pid := self._running(name)) is not None:
            os.kill(pid, number)

    def kill(self, name: str) -> None:
        """Kill one process and all its descendants, as if its machine were gone."""
        if (pid := self._running(name)) is not None:
            os.kill(pid, signal.SIGSTOP)  # so that it starts nothing while we look
            for doomed in [pid, *_descendants(pid)]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(doomed, signal.SIGKILL)
            while self._running(name) is not None:
                time.sleep(0.01)
                self.reap()

    def kill_all(self) -> None:
        """Kill every descendant; those whose parents died are ours too by now."""
        while doomed := _descendants(os.getpid()):
            for pid in doomed:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)
            self.reap()

    def reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0] != 0:
                self._statuses[ended[0]] = os.waitstatus_to_exitcode(ended[1])

    def _running(self, name: str) -> int | None:
        pid = self._pids[name]
        return None if pid in self._statuses else pid


def _descendants(ancestor: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for pid, parent in _parents():
        children.setdefault(parent, []).append(pid)
    found, unseen = [], [ancestor]
    while unseen:
        of_this = children.get(unseen.pop(), [])
        unseen += of_this
        found += of_this
    return found


def _parents() -> Iterator[tuple[int, int]]:
    """The id of every process, with its parent's."""
    if not os.path.exists("/proc/self/stat"):
        listing = subprocess.Popen(
            ["ps", "-A", "-o", "pid=,ppid="], stdout=subprocess.PIPE, text=True
        )
        for line in listing.communicate()[0].splitlines():
            pid, parent = map(int, line.split())
            if pid != listing.pid:
                yield pid, parent
        return
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{entry}/stat", "rb") as stat:
                # pid (name) state ppid …; the name may hold spaces and parentheses
                yield int(entry), int(stat.read().rpartition(b")")[2].split()[1])


def _prctl() -> Callable[[int, int], object]:
    """Linux's prctl; elsewhere a function that does nothing."""
    try:
        function = ctypes.CDLL(None).prctl
    except AttributeError:
        return lambda option, argument: None
    return lambda option, argument: function(option, argument, 0, 0, 0)


def _answer(processes: Processes, request: dict[str, Any]) -> object:
    verb = request.pop("verb")
    if verb not in ("start", "statuses", "signal", "kill"):
        raise ValueError(f"unknown verb {verb}")
    return getattr(processes, verb)(**request)


def main(directory: Path) -> None:
    """Answer requests until the input ends, then kill everything and tidy up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever started us
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit())
    processes = Processes()
    keep_logs = False
    try:
        while line := sys.stdin.readline():
            request = json.loads(line)
            if request["verb"] == "end":
                keep_logs = request["keep_logs"]
                break
            try:
                answer = {"answer": _answer(processes, request)}
            except Exception as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
            print(json.dumps(answer), flush=True)
    except BrokenPipeError:
        pass  # nobody listens any more
    finally:
        processes.kill_all()
        for entry in directory.iterdir():
            if not (keep_logs and entry.name == "logs"):
                shutil.rmtree(entry, ignore_errors=True)
        if not keep_logs:
            shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
