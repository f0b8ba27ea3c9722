"""
Kills every daemon of a cluster in every phase of a run, and sees whether the run bears it.

    python -m integration.killing [--plain] [--role NAME]... [--phase NAME]... [--away SECONDS]

``nox -s killing`` runs it; it is no part of what ``nox`` runs, for it takes most of an hour. For
each daemon and each phase an application is run whole: as the phase begins, the daemon is killed by
SIGKILL, and started again some seconds later. The run is borne if no call of the client failed, the
application ended as it should, and every line of every container was read live and is collected,
each once and in order. The table at the end says for each what became of it and how long it took.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import knit

from integration.clusters.embedded import EmbeddedCluster, EmbeddedClusterError
from integration.clusters.security import Security, keytab_options
from integration.toolchain import ToolchainError

PHASES = ("submit", "upload", "launch", "follow", "add", "stop", "end", "read")
"""In the order they come: of each the daemon is killed as it begins."""

ROLES = (
    "active ResourceManager",
    "standby ResourceManager",
    "active NameNode",
    "standby NameNode",
    "DataNode",
    "NodeManager",
    "ZooKeeper",
    "KDC",
)
"""Whose process is killed; who is active changes from one run to the next."""

PATIENCE = timedelta(minutes=5)
"""For any one wait: failing over, and finding each other again, may take half of that."""

UPLOAD_MIB = 192
"""So much takes HDFS some seconds, also on a fast machine."""

NODE_EXPIRY_MS = 60_000
"""
When a node that says nothing is given up, by Hadoop's default after 10 minutes.

It is 10 s on clusters of the suite, where nodes are to be lost; here they are to come back.
"""

_LINE = re.compile(r"line (\d+)")
_COMMAND = 'n=0; while [ ! -e stop ]; do n=$((n + 1)); echo "line $n"; sleep 0.2; done'


@attrs.frozen
class Result:
    """What became of one run."""

    role: str
    phase: str
    seconds: float
    fault: str | None
    """Why it was not borne. None: it was."""


class NotBorneError(Exception):
    """Something is missing at the end of a run, or is there twice."""


class Outage:
    """One daemon, to be killed once, as one phase begins."""

    def __init__(self, cluster: EmbeddedCluster, role: str, phase: str, away: float) -> None:
        self._cluster = cluster
        self._role = role
        self._phase = phase
        self._away = away
        self._lock = threading.Lock()
        self._return: threading.Thread | None = None
        self._error: BaseException | None = None

    def reached(self, phase: str) -> None:
        """A phase begins. It may be said more than once."""
        with self._lock:
            if phase != self._phase or self._return is not None:
                return
            name, other = self._names()
            self._cluster.kill(name)
            self._return = threading.Thread(target=self._come_back, args=[name, other])
            self._return.start()

    def _names(self) -> tuple[str, str | None]:
        """The daemon, and who has to be made active in its place."""
        cluster, role = self._cluster, self._role
        for kind, active in (
            ("ResourceManager", cluster.active_resource_manager),
            ("NameNode", cluster.active_name_node),
        ):
            if role.endswith(kind):
                pair = [f"{kind.lower()}-1", f"{kind.lower()}-2"]
                in_charge = active() or pair[0]
                other = next(name for name in pair if name != in_charge)
                if role.startswith("standby"):
                    return other, None
                # ResourceManagers see to that themselves, by ZooKeeper.
                return in_charge, other if kind == "NameNode" else None
        return {"NodeManager": "nodemanager-1"}.get(role, role.lower()), None

    def _come_back(self, name: str, other: str | None) -> None:
        try:
            if other is not None:
                self._cluster.activate(other)
            time.sleep(self._away)  # that is the outage
            self._cluster.start(name)
        except BaseException as error:
            self._error = error

    def join(self) -> None:
        """Waits until the daemon is started again, if it was killed."""
        if self._return is not None:
            self._return.join()

    def check(self) -> None:
        """Raises if the phase never came, or the daemon could not be started again."""
        self.join()
        if self._return is None:
            raise NotBorneError(f"the phase {self._phase} was never reached")
        if self._error is not None:
            raise self._error


class Run:
    """One run, whole, that tells an outage where it is."""

    def __init__(
        self, client: knit.Client, outage: Outage, upload: Path, keytab: Mapping[str, Any]
    ) -> None:
        self._client = client
        self._keytab = keytab
        self._outage = outage
        self._upload = upload
        self._live: dict[str, list[int]] = {}

    def run(self) -> None:
        """
        Do all of it.

        Raises:
            NotBorneError: Something is missing at the end.
            knit.KnitError: A call failed.
        """
        service = knit.Service(
            _COMMAND,
            instances=2,
            resources=knit.Resources(memory="128 MiB"),
            files=[knit.File(self._upload)],
        )
        spec = knit.ApplicationSpec("killing", {"worker": service}, **self._keytab)
        self._outage.reached("submit")
        app = self._client.submit(spec, progress=self._progress)
        with app:
            self._outage.reached("launch")
            reader = _Reader(app, self._live)
            reader.wait_for(2)
            self._outage.reached("follow")
            reader.wait_for(2, more=10)
            self._outage.reached("add")
            app.add_containers(1)
            reader.wait_for(3)
            self._outage.reached("stop")
            first = next(c for c in app.containers() if c.rank == 0)
            app.stop_containers([first])
            _await(
                lambda: any(c.rank == 0 and c.exit for c in app.containers()),
                "the container was not stopped",
            )
            self._outage.reached("end")
            app.stop(final_status=knit.FinalStatus.SUCCEEDED)
            reader.join()
            report = app.wait(timeout=PATIENCE)
            self._outage.reached("read")
            logs = app.aggregated_logs(wait=PATIENCE)
        if report.final_status is not knit.FinalStatus.SUCCEEDED:
            raise NotBorneError(f"it ended {report.final_status}: {report.diagnostics}")
        collected = {
            key: _numbers(container.read("stdout").decode())
            for key, container in logs.containers.items()
            if not container.is_application_master
        }
        _check(self._live, "was read live")
        _check(collected, "is collected")
        if len(collected) != 3 or not logs.is_complete:
            raise NotBorneError(f"{sorted(collected)} are collected: {logs.incomplete_reason}")
        for key, numbers in self._live.items():
            if numbers != collected[key]:
                raise NotBorneError(
                    f"of {key} {len(numbers)} lines were read live and {len(collected[key])} are "
                    "collected"
                )

    def _progress(self, progress: knit.StagingProgress) -> None:
        if progress.sent_bytes > UPLOAD_MIB * 1024 * 1024 // 8:
            self._outage.reached("upload")


class _Reader:
    """Reads the application's lines in a thread."""

    def __init__(self, app: knit.Application, live: dict[str, list[int]]) -> None:
        self._live = live
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._read, args=[app], daemon=True)
        self._thread.start()

    def _read(self, app: knit.Application) -> None:
        try:
            with app.logs(follow=True, files=["stdout"]) as lines:
                for line in lines:
                    self._live.setdefault(line.container_id, []).extend(_numbers(line.text))
        except BaseException as error:
            self._error = error

    def wait_for(self, containers: int, more: int = 0) -> None:
        """Wait until so many containers were heard from, and so many more lines of each."""
        before = {key: len(numbers) for key, numbers in self._live.items()}

        def heard() -> bool:
            self._raise()
            return (
                sum(
                    len(numbers) > before.get(key, 0) + more
                    for key, numbers in list(self._live.items())
                )
                >= containers
            ) or (not more and len(self._live) >= containers)

        _await(heard, f"{containers} containers were not heard from")

    def join(self) -> None:
        """Wait for the end of the logs."""
        self._thread.join(PATIENCE.total_seconds())
        self._raise()
        if self._thread.is_alive():
            raise NotBorneError("the stream of logs did not end")

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error


def _numbers(text: str) -> list[int]:
    return [int(number) for number in _LINE.findall(text)]


def _check(numbers: dict[str, list[int]], what: str) -> None:
    for key, found in numbers.items():
        if found != list(range(1, len(found) + 1)):
            wrong = next(i for i, n in enumerate(found) if n != i + 1)
            raise NotBorneError(f"what {what} of {key} goes wrong after line {wrong}")


def _await(condition: Callable[[], bool], otherwise: str) -> None:
    end = time.monotonic() + PATIENCE.total_seconds()
    while not condition():
        if time.monotonic() > end:
            raise NotBorneError(otherwise)
        time.sleep(0.1)


@contextmanager
def _upload() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="knit-killing-") as directory:
        path = Path(directory) / "upload.bin"
        with path.open("wb") as file:
            # Never the same, so that it is never there already.
            marker = time.time_ns().to_bytes(8, "big")
            file.write(marker)
            file.truncate(UPLOAD_MIB * 1024 * 1024)
        yield path


def run_one(cluster: EmbeddedCluster, role: str, phase: str, away: float) -> Result:
    """One run with one outage."""
    began = time.monotonic()
    outage = Outage(cluster, role, phase, away)
    fault: str | None = None
    keytab = keytab_options(cluster.security, cluster.user, cluster.keytab)
    try:
        with (
            _upload() as upload,
            knit.Client.from_config(cluster.conf_dir, **keytab) as client,
        ):
            Run(client, outage, upload, keytab).run()
        outage.check()
    except (NotBorneError, knit.KnitError) as error:
        fault = f"{type(error).__name__}: {error}"
    except Exception:  # of no kind that a client may raise
        fault = traceback.format_exc()
    finally:
        outage.join()
    seconds = time.monotonic() - began
    cluster.wait_until_ready()
    return Result(role, phase, seconds, fault)


def table_of(results: Sequence[Result]) -> str:
    """The results in Markdown, a row for each role."""
    roles = list(dict.fromkeys(result.role for result in results))
    phases = [phase for phase in PHASES if any(result.phase == phase for result in results)]
    lines = [f"| killed | {' | '.join(phases)} |", f"|---|{'---|' * len(phases)}"]
    by_place = {(result.role, result.phase): result for result in results}
    for role in roles:
        cells = []
        for phase in phases:
            result = by_place.get((role, phase))
            how = "" if result is None else f"{result.seconds:.0f} s"
            cells.append(f"**fails** {how}" if result is not None and result.fault else how)
        lines.append(f"| {role} | {' | '.join(cells)} |")
    faults = [f"* {r.role}, {r.phase}: {r.fault}" for r in results if r.fault]
    return "\n".join([*lines, "", *faults])


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m integration.killing", description=__doc__)
    parser.add_argument("--plain", action="store_true", help="without Kerberos and TLS")
    parser.add_argument("--role", action="append", choices=ROLES, help="only this; repeatable")
    parser.add_argument("--phase", action="append", choices=PHASES, help="likewise")
    parser.add_argument("--away", type=float, default=5, help="seconds until it is back (5)")
    chosen = parser.parse_args(arguments)
    results: list[Result] = []
    try:
        security = None if chosen.plain else Security()
        with EmbeddedCluster(
            node_count=2,
            security=security,
            is_ha=True,
            yarn={"yarn.nm.liveness-monitor.expiry-interval-ms": NODE_EXPIRY_MS},
            say=print,
        ) as cluster:
            os.environ.update(cluster.environment(cluster.user))
            for role in chosen.role or ROLES:
                if role == "KDC" and chosen.plain:
                    continue
                for phase in chosen.phase or PHASES:
                    result = run_one(cluster, role, phase, chosen.away)
                    results.append(result)
                    print(f"{role:24} {phase:8} {result.seconds:6.1f} s  {result.fault or 'borne'}")
                    sys.stdout.flush()
    except (EmbeddedClusterError, ToolchainError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        pass
    print(f"\n{table_of(results)}")
    return int(any(result.fault for result in results))


if __name__ == "__main__":
    sys.exit(main())
