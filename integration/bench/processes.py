"""What a process costs, from /proc: on Linux, for a cluster on this machine."""

from __future__ import annotations

import os
import time
from pathlib import Path

import attrs

from integration.bench.errors import BenchError

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@attrs.frozen
class Cost:
    """What a process held and used over a while."""

    resident_mib: float
    """Resident memory at the end of the while, shared pages included (VmRSS)."""
    proportional_mib: float
    """The same with shared pages counted in proportion (Pss)."""
    threads: int
    cpu_millis_per_minute: float
    """User and system time of all threads."""


def master_of(application_id: str) -> int:
    """
    The process id of an application's Application Master: the JVM with the longest life in it.

    Raises:
        BenchError: there is none, or it cannot be seen from here.
    """
    sought = f"CONTAINER_ID=container_{application_id.removeprefix('application_')}_".encode()
    for entry in Path("/proc").iterdir():
        try:
            if not entry.name.isdigit() or (entry / "comm").read_text().strip() != "java":
                continue
            variables = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue  # gone, or not ours to read
        for variable in variables:
            if variable.startswith(sought) and variable.endswith(b"_000001"):
                return int(entry.name)
    raise BenchError(
        f"No java process of this machine is the Application Master of {application_id}."
    )


def node_manager_of(application_id: str) -> int:
    """
    The process id of the NodeManager that runs an application's first container.

    Raises:
        BenchError: there is none, or it cannot be seen from here.
    """
    sought = f"CONTAINER_ID=container_{application_id.removeprefix('application_')}_".encode()
    for entry in Path("/proc").iterdir():
        try:
            if not entry.name.isdigit():
                continue
            variables = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue  # gone, or not ours to read
        if any(v.startswith(sought) and v.endswith(b"_000002") for v in variables):
            above = _java_above(int(entry.name))
            if above is not None:
                return above
    raise BenchError(f"No NodeManager of this machine runs a container of {application_id}.")


def _java_above(pid: int) -> int | None:
    """The nearest ancestor that is a JVM."""
    while pid > 1:
        try:
            pid = int(_fields(Path(f"/proc/{pid}/status"))["PPid"])
            if Path(f"/proc/{pid}/comm").read_text().strip() == "java":
                return pid
        except (OSError, KeyError):
            return None
    return None


def cpu_seconds(pid: int) -> float:
    """What the process has used since it began, user and system time."""
    return _cpu_ticks(pid) / _TICKS_PER_SECOND


def forget_peak(pid: int) -> None:
    """
    Let the highest resident memory be counted anew from now on.

    Raises:
        BenchError: it is not ours to change.
    """
    try:
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    except OSError as error:
        raise BenchError(f"The peak of process {pid} cannot be reset: {error}") from error


def peak_mib(pid: int) -> float:
    """The highest resident memory (VmHWM) since the start, or since `forget_peak`."""
    try:
        return int(_fields(Path(f"/proc/{pid}/status"))["VmHWM"].split()[0]) / 1024
    except (OSError, KeyError) as error:
        raise BenchError(f"Process {pid} ended while it was being watched.") from error


def watch(pid: int, seconds: float) -> Cost:
    """What the process costs during the next seconds."""
    cpu_before, began = _cpu_ticks(pid), time.monotonic()
    time.sleep(seconds)
    ticks, elapsed = _cpu_ticks(pid) - cpu_before, time.monotonic() - began
    status = _fields(Path(f"/proc/{pid}/status"))
    rollup = _fields(Path(f"/proc/{pid}/smaps_rollup"))
    return Cost(
        resident_mib=int(status["VmRSS"].split()[0]) / 1024,
        proportional_mib=int(rollup["Pss"].split()[0]) / 1024,
        threads=int(status["Threads"]),
        cpu_millis_per_minute=ticks / _TICKS_PER_SECOND * 1000 * 60 / elapsed,
    )


def _cpu_ticks(pid: int) -> int:
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError as error:
        raise BenchError(f"Process {pid} ended while it was being watched.") from error
    return int(words[11]) + int(words[12])


def _fields(path: Path) -> dict[str, str]:
    return dict(line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)
