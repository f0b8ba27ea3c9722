"""Which figures there are, and exactly what each compares."""

from __future__ import annotations

import attrs

KNIT = "knit"
SKEIN = "skein"
SKEIN_WARM = "skein, driver running"
FLOOR = "floor"
SIDES = (KNIT, SKEIN, SKEIN_WARM, FLOOR)


@attrs.frozen
class Figure:
    """One line of the report."""

    key: str
    title: str
    unit: str
    means: str
    """What was compared with what, in a sentence or two."""


def _drains(key: str, readers: str) -> tuple[Figure, ...]:
    """What it takes that so many processes read a large log that is there already."""
    return (
        Figure(
            f"{key}_rate",
            f"{readers} of {{mib}} MiB that is there",
            "MB/s",
            "All bytes that all of them received, by the time from their common start to the end "
            "of the last; each is a process with a client of its own, all on this machine.",
        ),
        Figure(f"{key}_cpu", "… AM's CPU", "s", "User and system time meanwhile."),
        Figure(f"{key}_reader_cpu", "… readers' CPU", "s", "The same of all that read, together."),
        Figure(
            f"{key}_node_cpu",
            "… NodeManager's CPU",
            "s",
            "The same of the NodeManager whose container wrote the log.",
        ),
        Figure(
            f"{key}_peak", "… AM's peak resident memory", "MiB", "VmHWM, counted anew before it."
        ),
        Figure(
            f"{key}_call",
            "… others' ListContainers",
            "ms",
            "Calls of another client of the same Application Master meanwhile, one every 20 ms; "
            "the median call of each round.",
        ),
        Figure(f"{key}_call_p99", "… 99th percentile", "ms", "The same, 99 of 100 are quicker."),
    )


FIGURES = (
    Figure(
        "first_line",
        "new client process to first line",
        "s",
        "From the start of a Python process to the container's first line of output: for knit the "
        "line as read by the client, for skein and the floor the line as written by the container, "
        "since nothing brings it to their clients; a comparison in their favour.",
    ),
    Figure(
        "first_line_written",
        "… to first line written",
        "s",
        "From the start of a Python process to the moment the container writes, for every side.",
    ),
    Figure(
        "first_word",
        "… to first word at the client",
        "s",
        "From the start of a Python process to what the client first hears of the container's "
        "program: knit's log stream; skein's key-value store, which the container writes to with "
        "skein's own Python client.",
    ),
    Figure(
        "submit",
        "submit(), first of a process",
        "s",
        "The first submission of a process whose client is ready; skein's driver runs already.",
    ),
    Figure(
        "submit_again",
        "submit(), next one",
        "s",
        "The next submission of the same process, on an idle cluster again.",
    ),
    Figure(
        "am_registered",
        "AM launched to registered",
        "s",
        "By the ResourceManager's log, from LAUNCHED to REGISTERED; localization included.",
    ),
    Figure(
        "am_process",
        "AM process to registered",
        "s",
        "From the NodeManager's RUNNING, when the launch script is run, to REGISTERED.",
    ),
    Figure(
        "am_start_cpu",
        "AM's CPU until the first line",
        "s",
        "User and system time of the Application Master when the first line is out.",
    ),
    Figure(
        "add_running",
        "+{add} containers, all RUNNING",
        "s",
        "From the call to the moment the client sees all of them RUNNING, asking every 50 ms. "
        "skein says RUNNING before it has told the NodeManager, knit and the floor once the "
        "NodeManager has accepted.",
    ),
    Figure(
        "add_began",
        "+{add} containers, all begun",
        "s",
        "From the call to the moment the last container's command runs: each tells the time.",
    ),
    Figure(
        "add_more_running",
        "+{add_more} containers, all RUNNING",
        "s",
        "As above, asked for when the others run.",
    ),
    Figure(
        "add_more_began",
        "+{add_more} containers, all begun",
        "s",
        "As above, asked for when the others run.",
    ),
    Figure(
        "idle_resident",
        "idle AM, resident memory",
        "MiB",
        "VmRSS of the Application Master with its containers running and no client.",
    ),
    Figure(
        "idle_proportional",
        "idle AM, proportional memory",
        "MiB",
        "Pss: shared pages counted in proportion.",
    ),
    Figure("idle_cpu", "idle AM, CPU per minute", "ms", "User and system time of all its threads."),
    Figure("idle_threads", "idle AM, threads", "", "Threads of the Application Master's process."),
    Figure(
        "line_slow",
        "line written to line read, 1/s",
        "ms",
        "One container that writes a line a second; the median line of each round. Both clocks are "
        "this machine's. skein has no live logs.",
    ),
    Figure("line_slow_p99", "… 99th percentile", "ms", "The same, 99 of 100 lines are quicker."),
    Figure(
        "line_fast",
        "line written to line read, 1000/s",
        "ms",
        "Ten containers that write a hundred lines a second each; the median line of each round.",
    ),
    Figure("line_fast_p99", "… 99th percentile", "ms", "The same, 99 of 100 lines are quicker."),
    Figure(
        "kv_put",
        "a key written",
        "ms",
        "One client writes keys of 100 bytes, one call after the other, to an application that "
        "does nothing else; the median call of each round.",
    ),
    Figure("kv_put_p99", "… 99th percentile", "ms", "The same, 99 of 100 are quicker."),
    Figure("kv_get", "a key read", "ms", "The same client reads them; the median call."),
    Figure("kv_get_p99", "… 99th percentile", "ms", "The same, 99 of 100 are quicker."),
    Figure(
        "kv_late",
        "a key written, to heard of by a watch",
        "ms",
        "From the call to the event at a watch of the same process, one key after the other.",
    ),
    Figure("kv_late_p99", "… 99th percentile", "ms", "The same, 99 of 100 are quicker."),
    Figure(
        "kv_cpu",
        "… AM's CPU for each of these",
        "µs",
        "User and system time of the Application Master during all of them, by their number.",
    ),
    *_drains("drain_one", "one follower"),
    *_drains("drain_ten", "ten followers"),
)
