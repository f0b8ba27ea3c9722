"""knit as its users use it."""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from datetime import timedelta
from functools import partial
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from pathlib import Path

from integration.bench.clients.protocol import VALUE, Marks, now, tell, timed, wait_for_go

STARTED = now()

import knit  # noqa: E402

IMPORTED = now()
POLL_SECONDS = 0.05
EMIT = Path(__file__).parent.parent / "emit.py"


def specification(arguments: argparse.Namespace) -> knit.ApplicationSpec:
    return knit.ApplicationSpec(
        name="bench-knit",
        services={
            "worker": knit.Service(
                command=arguments.command,
                instances=arguments.instances,
                resources=knit.Resources(memory=arguments.memory, vcores=1),
                files=[EMIT] if arguments.step == "follow" else [],
            )
        },
    )


def wait_until_running(application: knit.Application, count: int) -> None:
    while len(application.containers(states=[knit.ContainerState.RUNNING])) < count:
        time.sleep(POLL_SECONDS)


def cold(arguments: argparse.Namespace) -> None:
    """From nothing to the first line of output, here."""
    marks: Marks = {"python_started": STARTED, "imported": IMPORTED}
    with knit.Client.from_config(arguments.conf_dir) as client:
        marks["client_ready"] = now()
        with client.submit(specification(arguments)) as application:
            marks["submitted"] = now()
            with application.logs(follow=True) as lines:
                next(iter(lines))
                marks["heard"] = now()
            tell(application_id=application.application_id, marks=marks)


def prime(arguments: argparse.Namespace) -> None:
    """One application to its end, after which its node keeps an archive for the next ones."""
    with (
        knit.Client.from_config(arguments.conf_dir) as client,
        client.submit(specification(arguments)) as application,
    ):
        with application.logs(follow=True) as lines:
            for _ in lines:
                pass
        application.release()
        tell(application_id=application.application_id)


def submit(arguments: argparse.Namespace) -> None:
    """Two submissions by one client, one after the other."""
    with knit.Client.from_config(arguments.conf_dir) as client:
        for _ in range(2):
            began = now()
            application = client.submit(specification(arguments))
            tell(application_id=application.application_id, nanos=now() - began)
            wait_for_go()


def scale(arguments: argparse.Namespace) -> None:
    """One container, then more of them, as often as asked for."""
    with (
        knit.Client.from_config(arguments.conf_dir) as client,
        client.submit(specification(arguments)) as application,
    ):
        wait_until_running(application, 1)
        tell(application_id=application.application_id)
        count = 1
        for more in arguments.add:
            wait_for_go()
            began = now()
            application.add_containers(more)
            called = now()
            count += more
            wait_until_running(application, count)
            tell(began=began, call_nanos=called - began, running_nanos=now() - began)
        wait_for_go()


def follow(arguments: argparse.Namespace) -> None:
    """How long each line was on its way: the containers print the time they write it at."""
    late: list[int] = []
    with (
        knit.Client.from_config(arguments.conf_dir) as client,
        client.submit(specification(arguments)) as application,
        application.logs(follow=True, files=["stdout"]) as lines,
    ):
        for line in lines:
            late.append(now() - int(line.text.split()[0]))
        application.release()
        application.wait(timeout=timedelta(seconds=60))
        tell(application_id=application.application_id, late_nanos=late)


def _drain(
    conf_dir: Path, application_id: str, size: int, begin: Barrier, used: SimpleQueue[int]
) -> None:
    """Reads the log to where it ends now, in a process of its own; says what CPU that took."""
    with (
        knit.Client.from_config(conf_dir) as client,
        client.application(application_id) as application,
    ):
        application.describe()
        begin.wait(timeout=60)
        before = time.process_time_ns()
        with application.logs(files=["stdout"]) as log:
            received = sum(len(chunk.data) for chunk in log.chunks())
        used.put(time.process_time_ns() - before)
    if received != size:
        sys.exit(f"{received} of {size} bytes came")


def _written(application: knit.Application, container: knit.Container) -> int:
    """How long the container's stdout is by now."""
    files = application.log_files(container)
    return sum(file.size_bytes for file in files if file.name == "stdout")


def drain(arguments: argparse.Namespace) -> None:
    """Several processes read a log that is there, and this one makes small calls meanwhile."""
    size = arguments.bytes
    with (
        knit.Client.from_config(arguments.conf_dir) as client,
        client.submit(specification(arguments)) as application,
    ):
        wait_until_running(application, 1)
        [container] = application.containers()
        while _written(application, container) < size:
            time.sleep(POLL_SECONDS)
        tell(application_id=application.application_id)
        wait_for_go()
        processes = multiprocessing.get_context("spawn")
        begin, used = processes.Barrier(arguments.readers + 1), processes.SimpleQueue()
        readers = [
            processes.Process(
                target=_drain,
                args=(arguments.conf_dir, application.application_id, size, begin, used),
                daemon=True,
            )
            for _ in range(arguments.readers)
        ]
        for reader in readers:
            reader.start()
        begin.wait(timeout=60)
        began, calls = now(), []
        while any(reader.is_alive() for reader in readers):
            called = now()
            application.containers()
            calls.append(now() - called)
            time.sleep(0.02)
        nanos = now() - began
        if any(reader.exitcode for reader in readers):
            sys.exit("a reader did not get all bytes")
        tell(nanos=nanos, call_nanos=calls, reader_nanos=sum(used.get() for _ in readers))
        wait_for_go()


def store(arguments: argparse.Namespace) -> None:
    """Writes and reads keys one after the other, and hears of the writes of others."""
    with (
        knit.Client.from_config(arguments.conf_dir) as client,
        client.submit(specification(arguments)) as application,
    ):
        wait_until_running(application, 1)
        kv = application.kv
        tell(application_id=application.application_id)
        wait_for_go()
        put, get, late = [], [], []
        for number in range(arguments.keys):
            put.append(timed(partial(kv.put, f"key/{number}", VALUE)))
        for number in range(arguments.keys):
            get.append(timed(partial(kv.get, f"key/{number}")))
        with kv.watch(prefix="watched/") as events:
            for number in range(arguments.keys):
                began = now()
                kv.put(f"watched/{number}", VALUE)
                next(events)
                late.append(now() - began)
        tell(put_nanos=put, get_nanos=get, late_nanos=late)
        wait_for_go()


def main() -> None:
    steps = {
        "prime": prime,
        "cold": cold,
        "submit": submit,
        "scale": scale,
        "follow": follow,
        "drain": drain,
        "store": store,
    }
    parser = argparse.ArgumentParser()
    parser.add_argument("step", choices=steps)
    parser.add_argument("--conf-dir", type=Path, required=True)
    parser.add_argument("--command", required=True)
    parser.add_argument("--memory", required=True)
    parser.add_argument("--instances", type=int, default=1)
    parser.add_argument("--add", type=int, action="append", default=[])
    parser.add_argument("--readers", type=int, default=1)
    parser.add_argument("--bytes", type=int, default=0)
    parser.add_argument("--keys", type=int, default=0)
    arguments = parser.parse_args()
    steps[arguments.step](arguments)


if __name__ == "__main__":
    main()
