"""
skein 0.8.2 as its users use it. Runs under a Python of its own, with skein and without knit.

skein has no way to bring a line of output to the client while the application runs. What its client
can know is the state of a container, which becomes RUNNING before the NodeManager has been told to
start it, and what the container's program puts into the key-value store.
"""

from __future__ import annotations

import argparse
import time
from functools import partial
from typing import Any

from integration.bench.clients.protocol import VALUE, Marks, now, tell, timed, wait_for_go

STARTED = now()

import skein  # type: ignore[import-not-found]  # noqa: E402

IMPORTED = now()
POLL_SECONDS = 0.05
SAID = "said"


def client_of(arguments: argparse.Namespace) -> Any:
    """A client with a driver of its own, or of the driver that runs already."""
    if arguments.driver == "running":
        return skein.Client.from_global_driver()
    return skein.Client(log=False)


def specification(arguments: argparse.Namespace) -> Any:
    return skein.ApplicationSpec(
        name="bench-skein",
        # By default it has 512 MiB, and YARN ends it: of virtual memory its JVM takes 2.7 GB, and
        # by default YARN allows 2.1 times the memory.
        master=skein.Master(resources=skein.Resources(memory="1536 MiB", vcores=1)),
        services={
            "worker": skein.Service(
                resources=skein.Resources(memory=arguments.memory, vcores=1),
                instances=1,
                script=arguments.command,
            )
        },
    )


def wait_until_running(application: Any, count: int) -> None:
    while len(application.get_containers(states=["RUNNING"])) < count:
        time.sleep(POLL_SECONDS)


def cold(arguments: argparse.Namespace) -> None:
    """From nothing to what the container says, by the only way it has."""
    marks: Marks = {"python_started": STARTED, "imported": IMPORTED}
    with client_of(arguments) as client:
        marks["client_ready"] = now()
        application_id = client.submit(specification(arguments))
        marks["submitted"] = now()
        with client.connect(application_id) as application:
            marks["connected"] = now()
            wait_until_running(application, 1)
            marks["seen_running"] = now()
            while SAID not in application.kv:
                time.sleep(POLL_SECONDS)
            marks["heard"] = now()
        tell(application_id=application_id, marks=marks)


def submit(arguments: argparse.Namespace) -> None:
    """Two submissions by one client, one after the other."""
    with client_of(arguments) as client:
        for _ in range(2):
            began = now()
            application_id = client.submit(specification(arguments))
            tell(application_id=application_id, nanos=now() - began)
            wait_for_go()


def scale(arguments: argparse.Namespace) -> None:
    """One container, then more of them, as often as asked for."""
    with client_of(arguments) as client:
        application_id = client.submit(specification(arguments))
        with client.connect(application_id) as application:
            wait_until_running(application, 1)
            tell(application_id=application_id)
            count = 1
            for more in arguments.add:
                wait_for_go()
                began = now()
                application.scale("worker", delta=more)
                called = now()
                count += more
                wait_until_running(application, count)
                tell(began=began, call_nanos=called - began, running_nanos=now() - began)
            wait_for_go()


def store(arguments: argparse.Namespace) -> None:
    """Writes and reads keys one after the other, and hears of the writes of others."""
    with client_of(arguments) as client:
        application_id = client.submit(specification(arguments))
        with client.connect(application_id) as application:
            wait_until_running(application, 1)
            kv = application.kv
            tell(application_id=application_id)
            wait_for_go()
            put, get, late = [], [], []
            for number in range(arguments.keys):
                put.append(timed(partial(kv.put, f"key/{number}", VALUE)))
            for number in range(arguments.keys):
                get.append(timed(partial(kv.get, f"key/{number}")))
            with kv.events(prefix="watched/", event_type="PUT") as events:
                for number in range(arguments.keys):
                    began = now()
                    kv.put(f"watched/{number}", VALUE)
                    next(iter(events))
                    late.append(now() - began)
            tell(put_nanos=put, get_nanos=get, late_nanos=late)
            wait_for_go()


def main() -> None:
    steps = {"cold": cold, "submit": submit, "scale": scale, "store": store}
    parser = argparse.ArgumentParser()
    parser.add_argument("step", choices=steps)
    parser.add_argument("--driver", choices=["own", "running"], required=True)
    parser.add_argument("--command", required=True)
    parser.add_argument("--memory", required=True)
    parser.add_argument("--add", type=int, action="append", default=[])
    parser.add_argument("--keys", type=int, default=0)
    arguments = parser.parse_args()
    steps[arguments.step](arguments)


if __name__ == "__main__":
    main()
