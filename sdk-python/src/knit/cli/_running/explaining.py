"""What happened to an application, and the likely cause, from all that can be known of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import attrs

from knit.cli._running.exit_status import ending
from knit.cli._running.waiting import waiting_sentence
from knit.cli._terminal.service_words import change_words, service_sentence

if TYPE_CHECKING:
    import knit

PATIENCE = timedelta(seconds=20)
"""How long YARN may take to collect what an application that has ended left."""
MOST_EVENTS = 15
LAST_LINES = 10
_WHEN = re.compile(r"\A\s*(?:\[[^\]]*\]\s*)+")
_AM_EXIT = re.compile(r"exited with\s+exitCode:\s*(-?\d+)")
_NO_ACCOUNT = re.compile(
    r"^main : run as user is (\S+)$.*?^((?:Requested user|User) \S+ [^\n]+)$",
    re.MULTILINE | re.DOTALL,
)
"""What a node's LinuxContainerExecutor says of a user whose programs it does not run."""


@attrs.frozen(kw_only=True)
class Cause:
    """Why it is as it is."""

    kind: str
    """In a word, for programs."""
    sentence: str
    """For people, with what to do."""
    is_certain: bool = True
    """Whether it follows from what is known, or is the likeliest of several."""


@attrs.define
class Explanation:
    """All that was found."""

    report: knit.ApplicationReport
    causes: list[Cause] = attrs.field(factory=list)
    services: list[knit.ServiceStatus] = attrs.field(factory=list)
    events: list[knit.Event] = attrs.field(factory=list)
    container: knit.Container | None = None
    """The first container that failed for good, or the last that failed."""
    last_lines: list[str] = attrs.field(factory=list)
    """The last of what it wrote."""
    unknown: list[str] = attrs.field(factory=list)
    """What could not be looked at, and why."""


def explain(client: knit.Client, app: knit.Application) -> Explanation:
    """Looks at all there is; what cannot be looked at is told and holds nothing up."""
    found = Explanation(app.report())
    report = found.report
    if report.state.name not in ("RUNNING", "FINISHED", "FAILED", "KILLED"):
        found.causes += _unborn(client, report)
        return found
    if not report.state.is_final:
        _look_at_services(app, found)
    _look_at_events(app, found)
    containers = _look_at_containers(app, found)
    found.container = _telling(containers)
    if found.container is not None:
        _read_last_lines(app, found)
    if report.state.is_final:
        found.causes += _ended(found, containers)
    else:
        found.causes += _running(found, containers)
    return found


# Before there is an Application Master


def _unborn(client: knit.Client, report: knit.ApplicationReport) -> Iterator[Cause]:
    from knit.exceptions import KnitError

    said = _WHEN.sub("", report.diagnostics).strip()
    queue = report.queue
    if report.attempt_number:
        yield Cause(
            kind="MASTER_STARTING",
            sentence="Its Application Master's container is granted and about to start; that "
            f"takes some seconds. YARN says: {said or 'nothing'}",
        )
        return
    if "AM resource limit exceeded" in said:
        whose = "a user's" if said.startswith("User") or "User's AM" in said else "all"
        yield Cause(
            kind="USER_MASTER_LIMIT" if whose != "all" else "QUEUE_MASTER_LIMIT",
            sentence=f"The queue {queue} lets {whose} Application Masters together have only a "
            "part of it, and those that run use that up. Wait until one of them ends, use another "
            "queue (knit queues; knit move), or have "
            f"yarn.scheduler.capacity.maximum-am-resource-percent raised. YARN says: {said}",
        )
        return
    if "cluster resource is empty" in said:
        yield Cause(
            kind="NO_NODES",
            sentence="The cluster has no live node: `knit nodes` lists them, `knit doctor` looks "
            "for the reason.",
        )
        return
    try:
        found = client.queue(queue)
        nodes = [node for node in client.nodes() if node.state.name == "RUNNING"]
    except KnitError as error:
        yield Cause(
            kind="WAITING",
            sentence=f"It waits in queue {queue}. YARN says: {said or 'nothing'} The queue could "
            f"not be looked at: {error}",
            is_certain=False,
        )
        return
    if found.state.name != "RUNNING":
        yield Cause(
            kind="QUEUE_STOPPED",
            sentence=f"The queue {found.path} is {found.state.name}: have it started, or move the "
            f"application: knit move {report.application_id} QUEUE",
        )
    elif not nodes:
        yield Cause(kind="NO_NODES", sentence="No node of the cluster is RUNNING: knit nodes.")
    elif _is_full(found):
        yield Cause(
            kind="QUEUE_FULL",
            sentence=f"The queue {found.path} uses {found.absolute_used_capacity:.0%} of the "
            f"cluster, of at most {found.absolute_max_capacity:.0%}: it is full. Wait until "
            "something in it ends, or use another queue: knit queues; knit move. "
            + (f"YARN says: {said}" if said else ""),
            is_certain=False,
        )
    else:
        yield Cause(
            kind="WAITING",
            sentence=f"It waits in queue {found.path} for a node with room for its Application "
            f"Master. YARN says: {said or 'nothing'} `knit nodes` shows what nodes have free, "
            "`knit doctor` looks for more.",
            is_certain=False,
        )


def _is_full(queue: knit.QueueReport) -> bool:
    used, most = queue.absolute_used_capacity, queue.absolute_max_capacity
    return used is not None and most is not None and most > 0 and used >= 0.95 * most


# While it runs


def _look_at_services(app: knit.Application, found: Explanation) -> None:
    from knit.exceptions import KnitError

    try:
        found.services = app.services()
    except KnitError as error:
        found.unknown.append(f"its services: {error}")


def _look_at_events(app: knit.Application, found: Explanation) -> None:
    import knit

    kinds = [kind for kind in knit.EventKind if kind.name not in ("UNKNOWN", "KEY")]
    try:
        with app.events(after=0, follow=False, kinds=kinds, timeout=PATIENCE) as watch:
            for event in watch:
                notable = tuple(filter(_is_notable, event.changes))
                if notable:
                    found.events.append(attrs.evolve(event, changes=notable))
                    del found.events[:-MOST_EVENTS]
    except knit.KnitError as error:
        found.unknown.append(f"its events: {error}")


def _is_notable(change: object) -> bool:
    """Whether it tells of something that went other than wished, or of the end."""
    import knit

    match change:
        case knit.Container():
            return change.state.name == "FAILED"
        case knit.ServiceStatus():
            return change.update is not None or change.condition.name in ("DEGRADED", "FAILED")
        case knit.ApplicationStatus():
            return change.outcome is not None
        case _:
            return True


def _look_at_containers(app: knit.Application, found: Explanation) -> list[knit.Container]:
    from knit.exceptions import KnitError

    try:
        return app.containers(timeout=PATIENCE)
    except KnitError as error:
        found.unknown.append(f"its containers: {error}")
        return []


def _telling(containers: Iterable[knit.Container]) -> knit.Container | None:
    """The failed container that tells most: of those by their own fault the one that was first."""
    failed = [c for c in containers if c.state.name == "FAILED" and c.exit is not None]
    own = [c for c in failed if c.exit is not None and c.exit.reason.name in _OWN_FAULTS]
    return min(own or failed, key=_finish, default=None)


_OWN_FAULTS = ("EXITED", "OUT_OF_MEMORY", "LOCALIZATION_FAILED", "LAUNCH_FAILED", "UNHEALTHY")


def _finish(container: knit.Container) -> tuple[bool, float]:
    time = container.exit.finish_time if container.exit is not None else None
    return time is None, time.timestamp() if time is not None else 0.0


def _read_last_lines(app: knit.Application, found: Explanation) -> None:
    from knit.exceptions import KnitError

    container = found.container
    if container is None or container.container_id is None:
        return
    if container.exit is not None and container.exit.reason.name == "NODE_LOST":
        # It is waited for in vain.
        found.unknown.append(
            f"the logs of {container.container_id}: they are on {container.node_id}, which was lost"
        )
        return
    try:
        with app.logs(
            containers=[container.container_id], tail_lines=LAST_LINES, timeout=PATIENCE
        ) as lines:
            found.last_lines = [f"{line.file}: {line.text}" for line in lines][-2 * LAST_LINES :]
    except KnitError as error:
        found.unknown.append(f"the logs of {container.container_id}: {error}")


def _running(found: Explanation, containers: Sequence[knit.Container]) -> Iterator[Cause]:
    for status in found.services:
        for reason in status.waiting_reasons:
            yield Cause(
                kind=reason.cause.name,
                sentence=waiting_sentence(reason),
                is_certain=reason.is_certain,
            )
        if status.condition.name in ("FAILED", "DEGRADED"):
            yield Cause(kind=f"SERVICE_{status.condition.name}", sentence=service_sentence(status))
        if status.update is not None and status.update.explanation:
            yield Cause(kind="UPDATE", sentence=service_sentence(status))
    if found.container is not None:
        yield _failure(found.container)


def _ended(found: Explanation, containers: Sequence[knit.Container]) -> Iterator[Cause]:
    report = found.report
    if ending(report) == "SUCCEEDED":
        yield Cause(kind="SUCCEEDED", sentence="It did what it was to do.")
        return
    if found.container is not None:
        yield _failure(found.container)
    said = report.diagnostics.strip()
    match = _AM_EXIT.search(said)
    if match is not None and (refused := _NO_ACCOUNT.search(said)) is not None:
        yield Cause(
            kind="NO_ACCOUNT",
            sentence=f"The node runs no programs as {refused[1]}: {refused[2]}. By the "
            "LinuxContainerExecutor each user's run under the account of that name on the node; "
            "the administrators make one on every node, and container-executor.cfg there "
            "(min.user.id, banned.users, allowed.system.users) says which it takes.",
        )
    elif match is not None:
        yield Cause(
            kind="MASTER_FAILED",
            sentence=f"Its Application Master ended with exit code {match[1]} before it could "
            "tell how the application did. Exit codes -104 and 137 are too little memory "
            "(application_master in the specification); else its logs say more: "
            f"{report.am_logs_url or 'knit logs --container'}. YARN says: {said}",
            is_certain=False,
        )
    elif said:
        yield Cause(kind=ending(report), sentence=said)
    elif found.container is None:
        yield Cause(
            kind=ending(report),
            sentence=f"It ended {ending(report)}, and nobody says why.",
            is_certain=False,
        )
    if not containers and match is None:
        for sentence in found.unknown[:1]:
            yield Cause(kind="UNKNOWN", sentence=f"Unknown are {sentence}", is_certain=False)


def _failure(container: knit.Container) -> Cause:
    exit_ = container.exit
    assert exit_ is not None  # noqa: S101 - it has failed
    words = change_words(container)
    advice = _ADVICE.get(exit_.reason.name, "").replace("{node}", container.node_id or "")
    if exit_.reason.name == "EXITED" and exit_.exit_code in _EXIT_CODES:
        advice = _EXIT_CODES[exit_.exit_code or 0]
    said = exit_.diagnostics.strip().splitlines()
    if exit_.reason.name != "EXITED" and said:
        advice = f"{advice} YARN says: {said[-1]}".strip()
    return Cause(kind=exit_.reason.name, sentence=f"{words}. {advice}".strip())


_ADVICE = {
    "OUT_OF_MEMORY": "It used more memory than it was granted: ask for more (resources.memory).",
    "LOCALIZATION_FAILED": "One of its files could not be brought to the node: it may have "
    "changed or gone since it was staged.",
    "LAUNCH_FAILED": "Its node {node} refused it, or did not answer.",
    "NODE_LOST": "Its node {node} was lost; restart budgets say how often it is made good.",
    "PREEMPTED": "The scheduler took it back for another queue; restart budgets say how often it "
    "is made good.",
    "UNHEALTHY": "It was not ready in time: see readiness in the specification.",
    "DISK_FAILED": "The disks of its node {node} are full or broken.",
}
_EXIT_CODES = {
    126: "Exit code 126: a file could not be executed; name what runs it (python3 FILE).",
    127: "Exit code 127: a command was not found on the node.",
    137: "Exit code 137: it was killed (SIGKILL), often for want of memory.",
    139: "Exit code 139: it crashed (SIGSEGV).",
    143: "Exit code 143: it was asked to end (SIGTERM).",
}
