"""The measurements: each runs one side once, on an idle cluster, and notes what it finds."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from pathlib import Path

import attrs

from integration.bench import processes, timeline
from integration.bench.errors import TooLateError
from integration.bench.results import Results
from integration.bench.side import Side
from integration.bench.stamps import heard_from_containers
from integration.bench.statistics import percentile
from integration.bench.yarn import Yarn

SECOND = 1_000_000_000
MIB = 1024 * 1024
SETTLE_SECONDS = (6.0, 11.0)
"""
A running application is left alone for a random time between these before containers are added:
longer than anybody's idle heartbeat, so that the call falls anywhere between two of them.
"""
IDLE_AFTER_SECONDS = 32.0
"""An Application Master that has just added containers still looks after them more often."""


@attrs.define
class Bench:
    """A cluster with nothing else on it, and a place for what is found."""

    yarn: Yarn
    daemon_logs: Sequence[Path]
    host: str
    """This machine's name, as containers can resolve it."""
    results: Results
    _random: random.Random = attrs.field(factory=lambda: random.Random(0))

    def prime(self, side: Side) -> None:
        """Run one application to its end, for a node keeps what knit's next ones start with."""
        with side.client("prime", "echo hello") as client:
            client.answer()
        self.yarn.wait_until_idle(timeout_seconds=180)

    def cold(self, side: Side) -> None:
        """A new client process, to the first line."""
        with (
            heard_from_containers(self.host) as stamps,
            side.client("cold", stamps.command(side.word)) as client,
        ):
            answer = client.answer()
            marks: dict[str, int] = {**answer["marks"], "written": stamps.wait_for(1)[0]}
        application_id: str = answer["application_id"]
        if self.daemon_logs:
            marks |= timeline.of_application(application_id, self.daemon_logs)
            cpu = processes.cpu_seconds(processes.master_of(application_id))
            self.results.note("am_start_cpu", side.name, cpu)
        for name, nanos in marks.items():
            self.results.moments[side.name][name].append((nanos - client.started_nanos) / SECOND)

        def between(first: str | None, last: str) -> float:
            return (marks[last] - (marks[first] if first else client.started_nanos)) / SECOND

        note = self.results.note
        note("first_line", side.name, between(None, "heard" if side.name == "knit" else "written"))
        note("first_line_written", side.name, between(None, "written"))
        if "heard" in marks:
            note("first_word", side.name, between(None, "heard"))
        if self.daemon_logs:
            note("am_registered", side.name, between("am_launched", "am_registered"))
            note("am_process", side.name, between("am_process", "am_registered"))

    def submit(self, side: Side) -> None:
        """Two submissions of one client."""
        with side.client("submit", "exec sleep 3600") as client:
            for figure in ("submit", "submit_again"):
                self.results.note(figure, side.name, client.answer()["nanos"] / SECOND)
                self.yarn.quiesce()
                client.go()

    def scale(self, side: Side, adds: Sequence[int], idle_seconds: float) -> None:
        """One container, then more; then a while of doing nothing."""
        with (
            heard_from_containers(self.host) as stamps,
            side.client("scale", stamps.command(), adds=adds) as client,
        ):
            application_id: str = client.answer()["application_id"]
            stamps.wait_for(1)
            count = 1
            for figure, add in zip(("add", "add_more"), adds, strict=False):
                time.sleep(self._random.uniform(*SETTLE_SECONDS))
                client.go()
                answer = client.answer()
                count += add
                last = stamps.wait_for(count)[-1]
                note = self.results.note
                note(f"{figure}_running", side.name, answer["running_nanos"] / SECOND)
                note(f"{figure}_began", side.name, (last - answer["began"]) / SECOND)
            client.go()
        if idle_seconds and self.daemon_logs:
            self._idle(side, application_id, idle_seconds)

    def _idle(self, side: Side, application_id: str, seconds: float) -> None:
        pid = processes.master_of(application_id)
        time.sleep(IDLE_AFTER_SECONDS)
        cost = processes.watch(pid, seconds)
        self.results.note("idle_resident", side.name, cost.resident_mib)
        self.results.note("idle_proportional", side.name, cost.proportional_mib)
        self.results.note("idle_cpu", side.name, cost.cpu_millis_per_minute)
        self.results.note("idle_threads", side.name, cost.threads)

    def follow(self, side: Side, figure: str, *, containers: int, rate: int, seconds: int) -> None:
        """How long lines are on their way to the client."""
        command = f"exec python3 emit.py {rate} {seconds}"
        with side.client("follow", command, instances=containers) as client:
            late = [nanos / 1_000_000 for nanos in client.answer()["late_nanos"]]
        if len(late) != containers * rate * seconds:
            raise TooLateError(f"{len(late)} of {containers * rate * seconds} lines came")
        self.results.note(figure, side.name, percentile(late, 50))
        self.results.note(f"{figure}_p99", side.name, percentile(late, 99))

    def drain(self, side: Side, figure: str, *, readers: int, mib: int) -> None:
        """What it takes that a large log is read by several at a time, and others meanwhile."""
        command = f"yes 'a line of a log that is there already' | head -c {mib * MIB}; sleep 3600"
        more = ("--readers", str(readers), "--bytes", str(mib * MIB))
        with side.client("drain", command, more=more, patience_seconds=900) as client:
            application_id = client.answer()["application_id"]
            pid = processes.master_of(application_id)
            node = processes.node_manager_of(application_id)
            processes.forget_peak(pid)
            before = processes.cpu_seconds(pid), processes.cpu_seconds(node)
            client.go()
            answer = client.answer()
            cost = {
                "cpu": processes.cpu_seconds(pid) - before[0],
                "reader_cpu": answer["reader_nanos"] / SECOND,
                "node_cpu": processes.cpu_seconds(node) - before[1],
                "peak": processes.peak_mib(pid),
            }
            client.go()
        calls = [nanos / 1_000_000 for nanos in answer["call_nanos"]]
        cost["rate"] = readers * mib * MIB / 1e6 / (answer["nanos"] / SECOND)
        cost["call"], cost["call_p99"] = percentile(calls, 50), percentile(calls, 99)
        for name, value in cost.items():
            self.results.note(f"{figure}_{name}", side.name, value)

    def store(self, side: Side, keys: int) -> None:
        """The key-value store: one client that writes, reads, and hears of its own writes."""
        with side.client("store", "exec sleep 3600", more=("--keys", str(keys))) as client:
            pid = processes.master_of(client.answer()["application_id"])
            before = processes.cpu_seconds(pid)
            client.go()
            answer = client.answer()
            cpu = processes.cpu_seconds(pid) - before
            client.go()
        for figure in ("put", "get", "late"):
            millis = [nanos / 1_000_000 for nanos in answer[f"{figure}_nanos"]]
            self.results.note(f"kv_{figure}", side.name, percentile(millis, 50))
            self.results.note(f"kv_{figure}_p99", side.name, percentile(millis, 99))
        self.results.note("kv_cpu", side.name, cpu / (3 * keys) * 1_000_000)
