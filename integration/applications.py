"""Submits applications for tests, reads all they say, and leaves none of them behind."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import attrs
import knit
import pytest

from integration import evidence, programs
from integration.hdfs import Hdfs
from integration.waiting import wait_until

PATIENCE = timedelta(minutes=4)
"""For anything that should take seconds; a busy machine takes longer."""

SMALL = knit.Resources(memory="64 MiB", vcores=1)
"""Enough for a shell and the programs here."""

PROGRAMS = Path(programs.__file__)

LogKey = tuple[str, int, int, str]
"""Whose log: service, rank, attempt number, file."""


@attrs.frozen
class Ending:
    """All that is left of an application that has ended."""

    application_id: str
    report: knit.ApplicationReport
    description: knit.ApplicationDescription
    containers: list[knit.Container]
    logs: Mapping[LogKey, bytes]

    def log(self, service: str, rank: int = 0, attempt: int = 1, file: str = "stdout") -> bytes:
        """What one container wrote; empty if it wrote nothing."""
        return self.logs.get((service, rank, attempt, file), b"")

    def text(self, service: str, rank: int = 0, attempt: int = 1, file: str = "stdout") -> str:
        return self.log(service, rank, attempt, file).decode()

    def container(self, service: str, rank: int = 0, attempt: int = 1) -> knit.Container:
        return find(self.containers, service, rank, attempt)

    def exit(self, service: str, rank: int = 0, attempt: int = 1) -> knit.ContainerExit:
        """How a container ended."""
        found = self.container(service, rank, attempt).exit
        assert found is not None, f"{service}/{rank} has not ended"
        return found


@attrs.frozen
class Gate:
    """Holds programs back until a test lets them go on: a directory in HDFS that is not there."""

    hdfs: Hdfs
    path: str

    @property
    def environment(self) -> dict[str, str]:
        """What a service needs so that its program can wait."""
        return {programs.GATE_VARIABLE: self.hdfs.url(self.path, "GETFILESTATUS")}

    @property
    def opener(self) -> str:
        """The URL to PUT to open it, for a program that opens it itself."""
        return self.hdfs.url(self.path, "MKDIRS")

    @property
    def is_open(self) -> bool:
        return self.hdfs.exists(self.path)

    def open(self) -> None:
        self.hdfs.make_directory(self.path)

    def remove(self) -> None:
        self.hdfs.delete(self.path)


class FileGate(Gate):
    """The same by a file of this machine: for containers that may not ask HDFS."""

    @property
    def environment(self) -> dict[str, str]:
        return {programs.GATE_VARIABLE: self.path}

    @property
    def opener(self) -> str:
        """The file to make."""
        return self.path

    @property
    def is_open(self) -> bool:
        return Path(self.path).exists()

    def open(self) -> None:
        Path(self.path).touch()

    def remove(self) -> None:
        Path(self.path).unlink(missing_ok=True)


class Applications:
    """The applications of one test or of one module; those that still run at its end are killed."""

    open: ClassVar[list[Applications]] = []
    """All that have not been closed."""

    def __init__(self, client: knit.Client, hdfs: Hdfs, *, gates: Path | None = None) -> None:
        """
        Args:
            client: submits them.
            hdfs: where gates are.
            gates: a directory on this machine for gates that are files, for clusters whose
                containers may not ask HDFS.
        """
        self.open.append(self)
        self._gates_directory = gates
        self.client = client
        self._hdfs = hdfs
        self._apps: list[knit.Application] = []
        self._gates: list[Gate] = []

    def gate(self) -> Gate:
        """A gate that is closed."""
        if self._gates_directory is None:
            gate = Gate(self._hdfs, f"{self._hdfs.home}/knit-test-gates/{uuid.uuid4().hex}")
        else:
            self._gates_directory.mkdir(exist_ok=True)
            gate = FileGate(self._hdfs, str(self._gates_directory / uuid.uuid4().hex))
        self._gates.append(gate)
        return gate

    def submit(
        self, services: Mapping[str, knit.Service] | knit.Service, **fields: Any
    ) -> knit.Application:
        """Submit an application of these services; a single one is called `worker`."""
        if isinstance(services, knit.Service):
            services = {"worker": services}
        return self.adopt(self.client.submit(knit.ApplicationSpec("test", services, **fields)))

    def adopt(self, app: knit.Application) -> knit.Application:
        """Take care of an application that was submitted otherwise."""
        self._apps.append(app)
        return app

    def run(self, services: Mapping[str, knit.Service] | knit.Service, **fields: Any) -> Ending:
        """Submit an application and read everything to its end."""
        return finish(self.submit(services, **fields))

    def evidence(self) -> str:
        """Of all that have not been closed."""
        return "\n".join(evidence.of(app) for app in self._apps)

    def close(self) -> None:
        """Kill what still runs."""
        self.open.remove(self)
        for app in self._apps:
            with contextlib.suppress(knit.KnitError):
                app.kill(timeout=timedelta(seconds=30))
            app.close()
        for gate in self._gates:
            gate.remove()


def program(verb: str, *arguments: object, **fields: Any) -> knit.Service:
    """A service whose containers run a program of `programs.py`."""
    command = " ".join(["exec", "python3", PROGRAMS.name, verb, *map(str, arguments)])
    files = [PROGRAMS, *fields.pop("files", [])]
    return knit.Service(command, files=files, **{"resources": SMALL, **fields})


def finish(app: knit.Application, files: tuple[str, ...] = ("stdout", "stderr")) -> Ending:
    """Follow all logs to their ends, see how it ended, and let the Application Master go."""
    logs = read_logs(app, follow=True, files=files)
    wait_until(
        lambda: app.describe().state is knit.ApplicationState.ENDED,
        what=f"the logs of {app.application_id} have ended, but it has not",
        evidence=lambda: evidence.of(app),
    )
    description, containers = app.describe(), app.containers()
    app.release()
    report = app.wait(timeout=PATIENCE)
    return Ending(app.application_id, report, description, containers, logs)


def read_logs(app: knit.Application, **options: Any) -> dict[LogKey, bytes]:
    """Read logs to their ends, and hold the stream to giving each byte once and in order."""
    options.setdefault("timeout", PATIENCE)
    logs: dict[LogKey, bytearray] = {}
    starts: dict[LogKey, int] = {}
    with app.logs(**options) as stream:
        for chunk in stream.chunks():
            key = (chunk.service, chunk.rank, chunk.attempt_number, chunk.file)
            received = logs.setdefault(key, bytearray())
            start = starts.setdefault(key, chunk.offset_bytes)
            assert chunk.offset_bytes == start + len(received), f"{key}: bytes twice or missing"
            received += chunk.data
        for end in stream.ends.values():
            key = (end.service, end.rank, end.attempt_number, end.file)
            assert end.is_complete, f"{key}: {end.incomplete_reason}"
            assert end.offset_bytes == starts.get(key, end.offset_bytes) + len(logs.get(key, b""))
    return {key: bytes(received) for key, received in logs.items()}


def refuses_what_is_not_there(app: knit.Application) -> None:
    """Hold it to refusing logs of containers, services and files that it cannot have."""
    with pytest.raises(knit.ContainerNotFoundError):
        list(app.logs(services=["nobody"]))
    with pytest.raises(knit.ContainerNotFoundError):
        list(app.logs(containers=["container_1_0001_01_000099"]))
    with pytest.raises(knit.ContainerNotFoundError):
        app.log_files("container_1_0001_01_000099")
    with pytest.raises(knit.InvalidRequestError):
        list(app.logs(files=["../secret"]))


def find(
    containers: list[knit.Container], service: str, rank: int = 0, attempt: int | None = None
) -> knit.Container:
    """The container of that place, by default of its latest attempt."""
    found = [
        container
        for container in containers
        if (container.service, container.rank) == (service, rank)
        and attempt in (None, container.attempt_number)
    ]
    assert found, f"{service}/{rank} (attempt {attempt}) is not among {containers}"
    return found[-1]


def wait_for_states(
    app: knit.Application,
    count: int,
    *states: knit.ContainerState,
    services: list[str] | None = None,
    timeout: timedelta = PATIENCE,
) -> list[knit.Container]:
    """Wait until so many containers are in one of these states, and return those."""

    def found() -> list[knit.Container] | None:
        containers = app.containers(services=services, states=list(states))
        return containers if len(containers) >= count else None

    containers = wait_until(
        found,
        what=f"not {count} containers of {app.application_id} became "
        f"{' or '.join(state.name for state in states)}",
        timeout=timeout,
        evidence=lambda: evidence.of(app),
    )
    assert containers is not None
    return containers


def wait_for_text(app: knit.Application, text: str, count: int, **options: Any) -> None:
    """Wait until so many lines that hold this text have come live."""
    options.setdefault("timeout", PATIENCE)
    seen = 0
    try:
        with app.logs(follow=True, **options) as stream:
            for line in stream:
                seen += text in line.text
                if seen >= count:
                    return
    except knit.RpcTimeoutError:
        pass
    raise AssertionError(f"{seen} lines with {text!r} came of {count}\n{evidence.of(app)}")
