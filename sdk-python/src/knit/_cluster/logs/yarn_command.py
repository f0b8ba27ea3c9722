"""Logs as the cluster's own `yarn logs` command prints them, where there is such a command."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import IO

import attrs

from knit._cluster.logs import ContainerLogs, places
from knit._cluster.logs.node_file import Piece, node_id_of
from knit._cluster.logs.places import Place
from knit._cluster.logs.reading import PIECE_BYTES, ByteReader
from knit._values.identifiers import numbers_of
from knit.exceptions import LogsNotFoundError, LogsUnavailableError, WaitTimeoutError

_CONTAINER = re.compile(rb"Container: (container_\w+) on (\S+)")
_NAME = re.compile(rb"LogType:(.+)")
_LENGTH = re.compile(rb"LogLength:(\d+)")
_CONTENTS = re.compile(rb"Log ?Contents:")
_LONGEST_HEADER_BYTES = 64 * 1024
_SCRIPT_BYTES = 64 * 1024


def find_yarn(environment: Mapping[str, str] | None = None) -> str | None:
    """
    Where Hadoop's `yarn` is; None if it is not on this machine.

    A package manager of Node.js has the same name, so a program counts only if Hadoop is
    mentioned in it.
    """
    environment = os.environ if environment is None else environment
    candidates = [
        Path(environment[variable], "bin", "yarn")
        for variable in ("HADOOP_YARN_HOME", "HADOOP_HOME", "HADOOP_PREFIX")
        if environment.get(variable)
    ]
    on_path = environment.get("PATH", "").split(os.pathsep)
    candidates += [Path(directory, "yarn") for directory in on_path if directory]
    for candidate in candidates:
        if shutil.which(str(candidate)) is None:
            continue
        with candidate.open("rb") as file:
            if b"hadoop" in file.read(_SCRIPT_BYTES).lower():
                return str(candidate)
    return None


def logs_by_yarn(
    application_id: str,
    *,
    timeout: timedelta,
    conf_dir: str | os.PathLike[str] | None = None,
    user: str | None = None,
    acting_for: str | None = None,
) -> dict[str, ContainerLogs] | None:
    """
    Reads an application's logs with the `yarn logs` command.

    What it prints goes to a temporary file, not into memory; the file is gone when the result is.

    Args:
        application_id: Whose logs.
        timeout: For the whole command, which starts a JVM and copies all logs.
        conf_dir: What it is given as `$HADOOP_CONF_DIR`. Default: what this process has.
        user: Who it is to say that it is. Default: as this process.
        acting_for: Whom it is to act for, as proxy users may.

    Returns:
        The logs by container, in the order of their IDs; the Application Master's own included.
        None if there is no such command here.

    Raises:
        LogsNotFoundError: It found none.
        LogsUnavailableError: It failed.
        WaitTimeoutError: It took too long, and was ended.
    """
    yarn = find_yarn()
    if yarn is None:
        return None
    environment = dict(os.environ)
    if conf_dir is not None:
        environment["HADOOP_CONF_DIR"] = os.fspath(conf_dir)
    if user is not None:
        environment["HADOOP_USER_NAME"] = user
    if acting_for is not None:
        environment["HADOOP_PROXY_USER"] = acting_for
    command = [yarn, "logs", "-applicationId", application_id]
    what = f"Reading the logs of {application_id} with {yarn}"
    with contextlib.ExitStack() as stack:
        errors = stack.enter_context(tempfile.TemporaryFile())
        output = stack.enter_context(tempfile.TemporaryFile(prefix="knit-yarn-logs-"))
        exit_code = _run(command, environment, output, errors, timeout, what)
        errors.seek(0)
        said = _last_lines(errors.read().decode("utf-8", "replace"))
        containers = parse(open(os.dup(output.fileno()), "rb"))  # noqa: SIM115  (the result's)
    if not containers and exit_code == 0:
        raise LogsNotFoundError(f"{what}: it found none. It said: {said}")
    if exit_code != 0:
        raise LogsUnavailableError(f"{what}: it failed with exit code {exit_code}: {said}")
    return containers


def _run(
    command: list[str],
    environment: Mapping[str, str],
    output: IO[bytes],
    errors: IO[bytes],
    timeout: timedelta,
    what: str,
) -> int:
    process = subprocess.Popen(  # noqa: S603
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=errors,
        start_new_session=True,
    )
    try:
        return process.wait(timeout.total_seconds())
    except subprocess.TimeoutExpired as error:
        raise WaitTimeoutError(
            f"{what}: it has not ended within {timeout.total_seconds():g} s, and was ended. Give "
            "it more time, or read the logs without it."
        ) from error
    finally:
        if process.poll() is None:
            # A script, and the JVM that it started.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@attrs.frozen
class _Found:
    """A log file in the output."""

    name: str
    start: int
    size_bytes: int


class _Output:
    """What the command printed, and where in it which log file is."""

    is_rolling = False

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        weakref.finalize(self, file.close)
        self.found: dict[str, list[_Found]] = {}
        self.nodes: dict[str, str] = {}

    def pieces(self, container_id: str) -> Iterator[Piece]:
        """The log files of a container."""
        for found in self.found.get(container_id, ()):
            data = ByteReader(self._read(found.start, found.size_bytes))
            yield Piece(container_id, found.name, found.size_bytes, data)

    def _read(self, start: int, size: int) -> Iterator[bytes]:
        end = start + size
        while start < end:
            piece = os.pread(self._file.fileno(), min(PIECE_BYTES, end - start), start)
            if not piece:
                return
            start += len(piece)
            yield piece

    def scan(self) -> None:
        """Finds the log files: each follows its name and its length, of which it has as many."""
        self._file.seek(0)
        container_id, name, length = "", "", 0
        while line := self._file.readline(_LONGEST_HEADER_BYTES):
            line = line.rstrip(b"\r\n")
            if match := _CONTAINER.fullmatch(line):
                container_id = match[1].decode()
                self.nodes.setdefault(container_id, node_id_of(match[2].decode()))
                self.found.setdefault(container_id, [])
            elif match := _NAME.fullmatch(line):
                name, length = match[1].decode("utf-8", "replace"), 0
            elif match := _LENGTH.fullmatch(line):
                length = int(match[1])
            elif _CONTENTS.fullmatch(line) and container_id and name:
                start = self._file.tell()
                length = self._real_length(start, length, name)
                self.found[container_id].append(_Found(name, start, length))
                self._file.seek(start + length)
                name = ""

    def _real_length(self, start: int, length: int, name: str) -> int:
        """The length that was announced, unless what follows says that there is less."""
        end = f"\nEnd of LogType:{name}".encode()
        self._file.seek(start + length)
        if self._file.read(len(end)) == end:
            return length
        self._file.seek(start)
        held, read = b"", 0
        while data := self._file.read(min(PIECE_BYTES, length + len(end) - read)):
            read += len(data)
            held += data
            if (place := held.find(end)) >= 0:
                return read - len(held) + place
            held = held[-len(end) :]
        return min(length, read)  # Hadoop before 2.7 says nothing at a log's end


def parse(output: IO[bytes]) -> dict[str, ContainerLogs]:
    """
    What the command printed, by container; of Hadoop 2.6 to 3.4.

    Args:
        output: A file with a descriptor, which is closed when nobody needs it any more.
    """
    scanned = _Output(output)
    scanned.scan()
    known: dict[str, Place] = {}
    for container_id in filter(places.may_be_application_master, scanned.found):
        for piece in scanned.pieces(container_id):
            if piece.name == places.FILE_NAME:
                known.update(places.parse(piece.data.pieces()))
    containers = {}
    for container_id in sorted(scanned.found, key=numbers_of):
        place = known.get(container_id) or places.guess(container_id)
        containers[container_id] = ContainerLogs(
            container_id=container_id,
            node_id=scanned.nodes[container_id],
            service=place.service,
            rank=place.rank,
            attempt_number=place.attempt_number,
            is_application_master=places.may_be_application_master(container_id),
            parts=(scanned,),
        )
    return containers


def _last_lines(text: str, count: int = 3) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    kept = [line for line in lines if not line.startswith(("at ", "SLF4J"))]
    return " ".join(kept[-count:]) or "nothing"
