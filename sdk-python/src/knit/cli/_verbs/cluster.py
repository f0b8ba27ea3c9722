"""Verbs on the rest of the cluster: nodes, queues, move, priority."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TextIO

import click

from knit.cli._arguments.options import (
    Cluster,
    application_argument,
    cluster_options,
    complete_queue,
    json_option,
    verb,
    wide_option,
)
from knit.cli._terminal.as_json import node_as_json, queue_as_json, report_as_json
from knit.cli._terminal.output import Preformatted, is_terminal, print_json, print_table, say
from knit.cli._terminal.words import human_mib, human_share

if TYPE_CHECKING:
    import knit

NODE_STATES = (
    "new",
    "running",
    "unhealthy",
    "decommissioning",
    "decommissioned",
    "lost",
    "rebooted",
    "shutdown",
)

_TREE = ("├─ ", "└─ ", "│  ")
_ASCII_TREE = ("|- ", "`- ", "|  ")


@verb("nodes", short="List the cluster's nodes.", example="knit nodes --state unhealthy")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(NODE_STATES, case_sensitive=False),
    help="Only those in this state; repeatable.",
)
@click.option(
    "--label", metavar="LABEL", help="Only those with this node label; '' for those without one."
)
@wide_option
@json_option
@cluster_options()
def nodes(
    *, cluster: Cluster, states: Sequence[str], label: str | None, wide: bool, as_json: bool
) -> None:
    """
    List the nodes of the cluster, those that are gone included.

    What is used of a node is what its containers were granted, whether they use it or not.
    """
    import knit

    with cluster.client() as client:
        found = client.nodes(
            states=[knit.NodeState(state.upper()) for state in states] if states else None,
            label=label,
        )
    if as_json:
        print_json([node_as_json(node) for node in found])
        return
    # Kinds such as yarn.io/gpu have columns of their own where any node has some.
    kinds = sorted({kind for node in found for kind in node.total.named})
    headings = ["node", "state", "rack", "label", "containers", "memory used", "memory"]
    headings += ["vcores used", "vcores"]
    for kind in kinds:
        headings += [f"{kind} used", kind]
    print_table(
        [*headings, "health"],
        [
            (
                node.node_id,
                node.state,
                node.rack,
                ", ".join(node.labels),
                node.running_containers,
                human_mib(node.used.memory_mib),
                human_mib(node.total.memory_mib),
                node.used.vcores,
                node.total.vcores,
                *(
                    amount.named.get(kind, 0)
                    for kind in kinds
                    for amount in (node.used, node.total)
                ),
                node.health_report,
            )
            for node in found
        ],
        optional=["rack", "label", "containers", "health"],
        wide=wide,
    )


@verb("queues", short="List the scheduler's queues.", example="knit queues root.default")
@click.argument("queue", metavar="[QUEUE]", required=False, shell_complete=complete_queue)
@wide_option
@json_option
@cluster_options()
def queues(*, cluster: Cluster, queue: str | None, wide: bool, as_json: bool) -> None:
    """
    List the queues of the cluster's scheduler, or QUEUE and those below it.

    QUEUE is a path, with or without root., or its last part where no other queue has that. Shares
    are of the cluster: what a queue is promised (capacity), what it may take where others leave
    it (max), and what it uses. What a scheduler does not tell is -.
    """
    from knit._cluster.yarn.queue_names import queue_called

    with cluster.client() as client:
        found = client.queues()
    if queue is not None:
        top = queue_called(found, queue, what=f"Asking for the queue {queue}").path
        found = [q for q in found if q.path == top or q.path.startswith(f"{top}.")]
    if as_json:
        print_json([queue_as_json(queue) for queue in found])
        return
    names = _tree(found) if is_terminal(sys.stdout) else {q.path: q.path for q in found}
    print_table(
        [
            "queue",
            "state",
            "capacity",
            "max",
            "used",
            "memory used",
            "memory max",
            "vcores used",
            "vcores max",
            "running",
            "pending",
            "labels",
        ],
        [
            (
                Preformatted(names[queue.path]),
                queue.state,
                human_share(queue.absolute_capacity),
                human_share(queue.absolute_max_capacity),
                human_share(queue.absolute_used_capacity),
                None if queue.used is None else human_mib(queue.used.memory_mib),
                None if queue.max_resources is None else human_mib(queue.max_resources.memory_mib),
                None if queue.used is None else queue.used.vcores,
                None if queue.max_resources is None else queue.max_resources.vcores,
                queue.running_applications,
                queue.pending_applications,
                ", ".join(queue.node_labels or ()),
            )
            for queue in found
        ],
        optional=["labels", "vcores max", "vcores used", "max", "memory max", "memory used"],
        wide=wide,
    )


def _tree(queues: Sequence[knit.QueueReport]) -> Mapping[str, str]:
    """What each queue is called in a tree, by its path: the first one whole, then last parts."""
    names: dict[str, str] = {}
    stems: dict[str, str] = {}
    branch, last, line = _TREE if _shows(sys.stdout, "".join(_TREE)) else _ASCII_TREE
    children = {queue.path: queue.children for queue in queues}
    for queue in queues:
        siblings = children.get(queue.parent or "", ())
        if queue.path not in siblings:
            names[queue.path], stems[queue.path] = queue.path, ""
            continue
        stem = stems[queue.parent or ""]
        is_last = queue.path == siblings[-1]
        names[queue.path] = f"{stem}{last if is_last else branch}{queue.name}"
        stems[queue.path] = f"{stem}{'   ' if is_last else line}"
    return names


def _shows(stream: TextIO, text: str) -> bool:
    """Whether a stream has these characters in its encoding."""
    try:
        text.encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


@verb(
    "move",
    short="Move an application to another queue.",
    example="knit move application_1700000000000_0001 root.default",
)
@application_argument
@click.argument("queue", metavar="QUEUE", shell_complete=complete_queue)
@json_option
@cluster_options()
def move(*, cluster: Cluster, application_id: str, queue: str, as_json: bool) -> None:
    """
    Move an application, of whatever type, to another queue, with all the containers it has.

    QUEUE is a path, with or without root., or its last part where no other queue has that.
    """
    with cluster.client() as client:
        report = client.move(application_id, queue)
    if as_json:
        print_json(report_as_json(report))
    else:
        click.echo(f"{application_id}\t{report.queue}")


@verb(
    "priority",
    short="Change the priority of an application.",
    example="knit priority application_1700000000000_0001 5",
)
@application_argument
@click.argument("priority", metavar="N", type=click.IntRange(0, 2**31 - 1))
@json_option
@cluster_options()
def priority(*, cluster: Cluster, application_id: str, priority: int, as_json: bool) -> None:
    """
    Change the priority of an application, of whatever type, within its queue: higher goes first.

    YARN makes the cluster's highest of what is above it.
    """
    with cluster.client() as client:
        report = client.set_priority(application_id, priority)
    if as_json:
        print_json(report_as_json(report))
    else:
        click.echo(f"{application_id}\t{report.priority}")
    if report.priority != priority:
        say(
            f"YARN made {report.priority} of {priority}: that is the highest here "
            "(yarn.cluster.max-application-priority on the ResourceManager, by default 0, and 0 "
            "for a scheduler without priorities)"
        )
