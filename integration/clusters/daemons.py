"""The daemons of an embedded cluster: started, watched, killed, and started again."""

from __future__ import annotations

import dataclasses
import signal
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from integration.clusters.daemon_java import daemon_environment, daemon_flags
from integration.clusters.processes import Processes
from integration.waiting import wait_until

_LAST_LINES = 40


class EmbeddedClusterError(Exception):
    """The cluster cannot be started; the message says why, and what its daemons said last."""


class PortTakenError(EmbeddedClusterError):
    """A daemon found its port taken by somebody else; other ports may do."""


@dataclasses.dataclass(frozen=True)
class _Command:
    argv: Sequence[str]
    environment: Mapping[str, str]
    home: Path


class Daemons:
    """Processes with names, each with a home and a log in the cluster's directory."""

    def __init__(self, directory: Path, java: Path, processes: Processes) -> None:
        self.directory = directory
        self.java = java
        self.logs = directory / "logs"
        self.logs.mkdir()
        self._processes = processes
        self._commands: dict[str, _Command] = {}

    def start_java(
        self,
        name: str,
        main_class: str,
        *arguments: str,
        class_path: str,
        flags: Sequence[str] = (),
        conf_dir: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start a program of Java's, with little of this process's environment."""
        home = self.directory / name
        temporary = home / "tmp"
        temporary.mkdir(parents=True, exist_ok=True)
        argv = [
            str(self.java / "bin" / "java"),
            *daemon_flags(self.java),
            *flags,
            f"-Djava.io.tmpdir={temporary}",
            f"-Dhadoop.log.dir={self.logs}",
            *("-cp", class_path),
            main_class,
            *arguments,
        ]
        whole = {**daemon_environment(self.java, conf_dir or home), **(environment or {})}
        self._commands[name] = _Command(argv, whole, home)
        self.start(name)

    def start(self, name: str) -> None:
        """Start a daemon as it was started before."""
        command = self._commands[name]
        self._processes.start(
            name,
            command.argv,
            env=command.environment,
            cwd=command.home,
            log=self.log(name),
        )

    def names(self) -> Sequence[str]:
        """All that were ever started, in that order."""
        return list(self._processes.statuses())

    def is_running(self, name: str) -> bool:
        statuses = self._processes.statuses()
        return name in statuses and statuses[name] is None

    def status(self, name: str) -> int | None:
        """The exit status; None while it runs."""
        return self._processes.statuses()[name]

    def kill(self, name: str) -> None:
        """Kill a daemon, but nothing that it has started, and wait until it is dead."""
        self._processes.signal(name, signal.SIGKILL)
        wait_until(lambda: not self.is_running(name), what=f"{name} outlives SIGKILL")

    def kill_machine(self, name: str) -> None:
        """Kill a daemon and all that it has started, as if its machine were gone."""
        self._processes.kill(name)

    def signal(self, name: str, number: int) -> None:
        """Send a signal to a daemon alone."""
        self._processes.signal(name, number)

    def wait(
        self,
        condition: Callable[[], object],
        *,
        what: str,
        names: Sequence[str],
        timeout: timedelta = timedelta(minutes=3),
    ) -> None:
        """
        Wait, but no longer than the daemons it depends on are alive.

        Raises:
            EmbeddedClusterError: one of them ended by itself.
            NotInTimeError: the time ran out; the message says ``what``, and what they said last.
        """

        def holds() -> object:
            answer = condition()
            statuses = self._processes.statuses()
            for name in names:
                if statuses.get(name) and not answer:
                    raise self._ended(name)
            return answer

        wait_until(
            holds,
            what=what,
            timeout=timeout,
            evidence=lambda: "\n".join(map(self.tail, names)),
        )

    def _ended(self, name: str) -> EmbeddedClusterError:
        said = self.tail(name)
        kind = PortTakenError if "java.net.BindException" in said else EmbeddedClusterError
        return kind(f"{name} ended by itself. {said}")

    def said(self, name: str) -> str:
        """All that it has written so far."""
        log = self.log(name)
        return log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""

    def tail(self, name: str) -> str:
        """What it said last, for people."""
        lines = self.said(name).splitlines()[-_LAST_LINES:]
        return "\n".join([f"Last lines of {self.log(name)}:", *(f"  {line}" for line in lines)])

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def evidence(self) -> str:
        """What all of them said last."""
        return "\n".join(map(self.tail, self.names()))
