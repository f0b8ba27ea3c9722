"""Whether the cluster has nodes: which run, which do not and why, which are about to come back."""

from __future__ import annotations

from collections.abc import Sequence

from knit._cluster.patience import NODES_RETURN, Notice
from knit._cluster.rest.answer_errors import first_line
from knit._submission.facts import ClusterFacts
from knit._values import giving_up
from knit._values.deadlines import Deadline
from knit._values.nodes import NodeReport, NodeState
from knit.exceptions import ResourcesUnavailableError

_LOOK_SECONDS = 1.0
#: What to do about nodes that are not running, by YARN's word for what they are.
_NODE_ADVICE = {
    "UNHEALTHY": (
        "Mend what is reported: the node's health script, or full or broken disks "
        "(yarn.nodemanager.disk-health-checker)"
    ),
    "LOST": "See whether their NodeManagers run and reach the ResourceManager",
    "REBOOTED": "Wait: they are coming back",
    "SHUTDOWN": "Start their NodeManagers",
    "DECOMMISSIONED": "Administrators took them out; ask them",
    "DECOMMISSIONING": "Administrators are taking them out; ask them",
}
_LONGEST_REPORT = 300
_MOST_NODES_TOLD = 5


def check_nodes(facts: ClusterFacts) -> str:
    """Some node is up."""
    running = [node for node in facts.nodes if node.is_running]
    others = [node for node in facts.nodes if not node.is_running]
    if not running and not others and facts.nodes_may_return:
        raise ResourcesUnavailableError(
            f"No node has come back yet to the ResourceManager at {facts.info.url}, which was "
            "started just now. NodeManagers look for it every 30 s, unless they are told "
            "otherwise: wait a moment. Applications may be submitted meanwhile, and wait for them.",
            url=facts.info.url,
        )
    if not running:
        states = sorted({node.state.value for node in others})
        advice = "; ".join(_NODE_ADVICE[state] for state in states if state in _NODE_ADVICE) or (
            "Start a NodeManager, or look at its log for why the ResourceManager does not take it"
        )
        raise ResourcesUnavailableError(
            f"The cluster has no running node ({_nodes(others) or 'none at all'}). {advice}. "
            "Where nodes are added on demand, or the ResourceManager has just taken over, "
            "applications may be submitted all the same: they wait.",
            url=facts.info.url,
        )
    total = sum(node.total.memory_mib for node in running)
    free = sum(node.available.memory_mib for node in running)
    count = "1 node is" if len(running) == 1 else f"{len(running)} nodes are"
    unhealthy = [node for node in others if node.state is NodeState.UNHEALTHY]
    also = f" Not in use: {_nodes(unhealthy)}." if unhealthy else ""
    return f"{count} running, with {free} of {total} MiB free.{also}"


def _nodes(nodes: Sequence[NodeReport]) -> str:
    """A few nodes with their states and what YARN reports of their health."""
    told = [
        f"{node.node_id} {node.state.value}"
        + (f": {first_line(node.health_report, _LONGEST_REPORT)}" if node.health_report else "")
        for node in nodes[:_MOST_NODES_TOLD]
    ]
    more = len(nodes) - len(told)
    return "; ".join(told) + (f"; and {more} more" if more > 0 else "")


def await_nodes(facts: ClusterFacts) -> str:
    """
    The same, of a ResourceManager that has been there for a while.

    One that was started, or has taken over, knows no node at all until the nodes have found it:
    that is waited for.
    """
    deadline, notice = Deadline.after(NODES_RETURN), Notice()
    while True:
        try:
            return check_nodes(facts)
        except ResourcesUnavailableError as error:
            # One of a pair does not tell when it took over.
            may_return = not facts.nodes and (facts.nodes_may_return or facts.is_pair)
            if not may_return or deadline.remaining_seconds < _LOOK_SECONDS:
                raise
            notice.waiting(f"{error.message} Looking again, for {NODES_RETURN.seconds} s in all.")
        giving_up.pause(_LOOK_SECONDS)
        facts.forget("nodes", "info")
