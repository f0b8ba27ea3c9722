"""What a specification names and only the cluster knows: labels, resources, places, limits."""

from __future__ import annotations

from collections.abc import Iterator

from knit._submission.facts import ClusterFacts
from knit._values.queues import QueueReport
from knit._values.spec import ApplicationSpec
from knit.exceptions import (
    AccessDeniedError,
    ClusterError,
    ClusterResponseError,
    ResourcesUnavailableError,
)

_MOST_TOLD = 10


def check_spec(facts: ClusterFacts, spec: ApplicationSpec, queue: QueueReport | None) -> list[str]:
    """
    Raises for a node label that cannot be had.

    Args:
        facts: The cluster.
        spec: What is to be submitted.
        queue: Where to. None where that is not known.

    Returns:
        What is worth knowing though YARN takes it.

    Raises:
        ResourcesUnavailableError: The cluster has no such label, or the queue may not use it.
    """
    _check_labels(facts, spec, queue)
    return [*_limits(facts, spec, queue), *_places(facts, spec), *_logs(facts)]


def labels_of(spec: ApplicationSpec) -> dict[str, str]:
    """The node labels that a specification names, with the first place where it does."""
    found: dict[str, str] = {}
    if spec.node_label is not None:
        found[spec.node_label] = "node_label"
    if spec.master_node_label is not None:
        found.setdefault(spec.master_node_label, "master_node_label")
    for name, service in spec.services.items():
        if service.placement is not None and service.placement.node_label is not None:
            found.setdefault(service.placement.node_label, f"services.{name}.placement.node_label")
    return found


def _check_labels(facts: ClusterFacts, spec: ApplicationSpec, queue: QueueReport | None) -> None:
    wanted = labels_of(spec)
    if not wanted:
        return
    try:
        known = facts.labels
    except (AccessDeniedError, ClusterResponseError):
        return  # YARN says itself what is wrong
    url = facts.info.url
    for label, where in wanted.items():
        if label not in known:
            raise ResourcesUnavailableError(
                f"{where}: the cluster has no node label {label!r}. It has "
                f"{', '.join(sorted(known)) or 'none (yarn.node-labels.enabled)'}; "
                "`knit nodes` shows which nodes they are on.",
                url=url,
            )
        usable = None if queue is None else queue.node_labels
        if queue is not None and usable is not None and not {label, "*"} & {*usable}:
            raise ResourcesUnavailableError(
                f"{where}: the queue {queue.path} may not use the node label {label!r}. It may use "
                f"{', '.join(usable) or 'none'} (accessible-node-labels): use another queue, or "
                "ask its administrators.",
                url=url,
            )


def _limits(facts: ClusterFacts, spec: ApplicationSpec, queue: QueueReport | None) -> Iterator[str]:
    if spec.priority:
        most = _number(facts.configured("yarn.cluster.max-application-priority"), default=0)
        if spec.priority > most:
            yield (
                f"priority: YARN makes {most} of {spec.priority}, the highest of this cluster "
                "(yarn.cluster.max-application-priority)."
            )
    if spec.max_attempts > 1:
        most = _number(
            facts.configured("yarn.resourcemanager.am.global.max-attempts")
            or facts.configured("yarn.resourcemanager.am.max-attempts"),
            default=2,
        )
        if spec.max_attempts > most:
            yield (
                f"max_attempts: YARN begins it {most} times at most, and not {spec.max_attempts} "
                "(yarn.resourcemanager.am.max-attempts)."
            )
    if spec.access_control is not None:
        enabled = facts.configured("yarn.acl.enable")
        if enabled is not None and enabled.strip().lower() != "true":
            yield (
                "access_control: this cluster does not enforce it (yarn.acl.enable): everybody "
                "may see and change every application."
            )
    most_lifetime = None if queue is None else queue.max_lifetime
    if queue is not None and most_lifetime and spec.lifetime and spec.lifetime > most_lifetime:
        yield (
            f"lifetime: YARN ends applications of the queue {queue.path} after "
            f"{most_lifetime.total_seconds():g} s, whatever they name."
        )


def _logs(facts: ClusterFacts) -> Iterator[str]:
    enabled = facts.configured("yarn.log-aggregation-enable")
    if enabled is not None and enabled.strip().lower() != "true":
        yield (
            "This cluster collects no logs (yarn.log-aggregation-enable): what containers write "
            "can be read only while the application runs."
        )


def _number(text: str | None, *, default: int) -> int:
    try:
        return default if text is None else int(text)
    except ValueError:
        return default


def _places(facts: ClusterFacts, spec: ApplicationSpec) -> Iterator[str]:
    placements = {
        name: service.placement
        for name, service in spec.services.items()
        if service.placement is not None and (service.placement.nodes or service.placement.racks)
    }
    if not placements or facts.nodes_may_return:
        return
    try:
        nodes = [node for node in facts.nodes if node.is_running]
    except ClusterError:
        return  # not everybody may look at them
    hosts = {node.node_id.partition(":")[0]: None for node in nodes}
    racks = {node.rack: None for node in nodes}
    for name, placement in placements.items():
        for key, asked, there in (
            ("nodes", placement.nodes, hosts),
            ("racks", placement.racks, racks),
        ):
            unknown = [each for each in asked if each not in there]
            if not unknown:
                continue
            found = {*placement.nodes} & {*hosts} or {*placement.racks} & {*racks}
            waits = placement.strict and not found
            yield (
                f"services.{name}.placement.{key}: of the nodes that run, none is "
                f"{' or '.join(unknown[:_MOST_TOLD])}"
                + ("; its containers wait until one is." if waits else ".")
                + f" There are {', '.join(list(there)[:_MOST_TOLD])}"
                + (f" and {len(there) - _MOST_TOLD} more." if len(there) > _MOST_TOLD else ".")
            )
