"""Whether containers of a size are granted at all, and whether there is room for one now."""

from __future__ import annotations

from collections.abc import Sequence

from knit._cluster.yarn.nodes import NewApplication
from knit._submission.facts import ResourceRequest
from knit._values.nodes import NodeReport
from knit._values.queues import QueueReport
from knit.exceptions import ResourcesUnavailableError


def beyond_nodes(request: ResourceRequest, running: Sequence[NodeReport]) -> str | None:
    if not running or any(
        node.total.memory_mib >= request.memory_mib and node.total.vcores >= request.vcores
        for node in running
    ):
        return None
    largest = max(running, key=lambda node: (node.total.memory_mib, node.total.vcores))
    return (
        f"{_asks(request)} in one container, and no node has that now: the largest, "
        f"{largest.node_id}, has {largest.total.memory_mib} MiB and "
        f"{cores(largest.total.vcores)}. It waits until a larger one comes; or ask for more "
        "containers of a smaller size."
    )


def beyond_queue(request: ResourceRequest, queue: QueueReport) -> str | None:
    limit = queue.max_resources
    if limit is None or (
        request.memory_mib <= (limit.memory_mib or request.memory_mib)
        and request.vcores <= (limit.vcores or request.vcores)
    ):
        return None
    return (
        f"{_asks(request)} in one container, and the queue {queue.path} may use at most "
        f"{limit.memory_mib} MiB and {cores(limit.vcores)} in all, as large as "
        "the cluster is now. It waits while that is so: ask for less, or use another queue."
    )


def _asks(request: ResourceRequest) -> str:
    return _capital(f"{request.what} asks for {request.memory_mib} MiB and {cores(request.vcores)}")


def check_maximum(
    request: ResourceRequest,
    maximum_mib: int | None,
    maximum_vcores: int | None,
    *,
    where: str = (
        "here (yarn.scheduler.maximum-allocation-mb and -vcores, or what the largest node has)"
    ),
    url: str | None = None,
) -> None:
    """
    Raises unless YARN grants this much to one container.

    The maximum comes with a new application's ID, or from the queue: YARN refuses more.

    Raises:
        ResourcesUnavailableError: It does not.
    """
    if (maximum_mib and request.memory_mib > maximum_mib) or (
        maximum_vcores and request.vcores > maximum_vcores
    ):
        granted = " and ".join(
            part
            for part in (
                f"{maximum_mib} MiB" if maximum_mib else "",
                cores(maximum_vcores) if maximum_vcores else "",
            )
            if part
        )
        raise ResourcesUnavailableError(
            f"{_asks(request)} in one container, and YARN grants at most {granted} {where}. "
            "Ask for less, or for more containers of a smaller size.",
            url=url,
        )


def check_named(request: ResourceRequest, new: NewApplication) -> None:
    """
    Raises for a named resource that the cluster does not have, or not so much of.

    YARN's REST takes an unknown one and drops it.

    Raises:
        ResourcesUnavailableError: It says which the cluster has.
    """
    for name, amount in request.others.items():
        most = new.maximum_others.get(name)
        what = f"{_capital(request.what)} asks for {amount} {name}"
        if most is None:
            known = ", ".join(sorted(new.maximum_others)) or "none but memory and vcores"
            raise ResourcesUnavailableError(
                f"{what}, and the cluster knows no such resource. It has {known} "
                "(yarn.resource-types): correct the name, or leave it out."
            )
        if amount > most:
            raise ResourcesUnavailableError(
                f"{what} in one container, and YARN grants at most {most} "
                f"(yarn.resource-types.{name}.maximum-allocation). Ask for less, or for more "
                "containers of a smaller size."
            )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def cores(count: int) -> str:
    return f"{count} vcore" if count == 1 else f"{count} vcores"
