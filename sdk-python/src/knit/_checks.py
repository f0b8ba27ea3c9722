"""
What can be known about a cluster, and about an application on it, before anything is submitted.

Each check is a function that returns a sentence where all is well, and raises the error where it
is not. `verify` runs them for a submission and raises the first error; `diagnose` runs them all
for `knit doctor` and makes a report of each.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from typing import TypeVar

import attrs

from knit._cluster.cluster import Cluster
from knit._cluster.configuration import ClusterConfig
from knit._cluster.resource_manager import ClusterInfo, Node, Queue
from knit._cluster.webhdfs import WebHdfs
from knit.exceptions import (
    AccessDeniedError,
    ClusterFileNotFoundError,
    ClusterResponseError,
    KnitError,
    QueueNotFoundError,
    QueueStoppedError,
    ResourcesUnavailableError,
    StandbyError,
)

#: Certificates are made with this machine's clock and read with the nodes'.
LARGEST_CLOCK_SKEW = timedelta(minutes=5)

_T = TypeVar("_T")


@attrs.frozen(kw_only=True)
class ResourceRequest:
    """What one container is to have, and who asks for it."""

    what: str
    """For messages: "service worker", "the Application Master"."""
    memory_mib: int
    vcores: int


@attrs.frozen(kw_only=True)
class CheckResult:
    """What a check found."""

    name: str
    """A few words, such as `queue`."""
    ok: bool
    message: str
    """What was found, in a sentence."""
    hint: str = ""
    """What to do about it; empty where all is well."""
    error: KnitError | None = attrs.field(default=None, repr=False)
    """What a submission would raise; None where all is well."""


class ClusterFacts:
    """What the checks ask the cluster, each question once. Threads may share it."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._locks = {name: threading.Lock() for name in ("info", "nodes", "queues", "home")}
        self._known: dict[str, object] = {}

    def _once(self, name: str, ask: Callable[[], _T]) -> _T:
        with self._locks[name]:
            if name not in self._known:
                self._known[name] = ask()
            found: _T = self._known[name]  # type: ignore[assignment]
            return found

    @property
    def info(self) -> ClusterInfo:
        return self._once("info", self._cluster.resource_manager.cluster_info)

    @property
    def nodes(self) -> list[Node]:
        return self._once("nodes", self._cluster.resource_manager.nodes)

    @property
    def queues(self) -> list[Queue]:
        return self._once("queues", self._cluster.resource_manager.queues)

    @property
    def home(self) -> str:
        return self._once("home", self._cluster.files.home_directory)

    @property
    def files(self) -> WebHdfs:
        """The file system itself, for questions about single paths."""
        return self._cluster.files


def check_resource_manager(facts: ClusterFacts) -> str:
    """The RM answers on its web port, and is active."""
    info = facts.info
    if info.ha_state == "INITIALIZING":
        raise StandbyError(
            f"The ResourceManager at {info.url} answers, but is still starting. Try again in a few "
            "seconds.",
            url=info.url,
        )
    if info.ha_state not in ("ACTIVE", ""):
        raise StandbyError(
            f"The ResourceManager at {info.url} answers, but is {info.ha_state}. Name the active "
            "one, or both (yarn.resourcemanager.ha.rm-ids, or knit.resourcemanager.url).",
            url=info.url,
        )
    return f"The ResourceManager at {info.url} is active (Hadoop {info.hadoop_version})."


def check_file_system(facts: ClusterFacts) -> str:
    """The NameNode answers WebHDFS on its web port, and is active."""
    home = facts.home
    return f"The NameNode at {facts.files.daemon.active_url} answers; your home is {home}."


def check_home_directory(facts: ClusterFacts) -> str:
    """The home directory exists and can be written to; so does `.knit` in it, if it is there."""
    home, url = facts.home, facts.files.daemon.active_url
    user = facts.files.user
    try:
        status = facts.files.status(home)
    except ClusterFileNotFoundError:
        return _check_home_can_be_made(facts, home)
    if not status.is_directory:
        raise AccessDeniedError(
            f"The home directory {home} on {url} is not a directory. Ask the cluster's "
            "administrators to put it right.",
            url=url,
        )
    try:
        facts.files.check_access(home, "-wx")
    except AccessDeniedError as error:
        raise AccessDeniedError(
            f"The home directory {home} on {url} belongs to {status.owner} ({status.permission}) "
            f"and {user} may not write to it. Ask its owner or an administrator: "
            f"hdfs dfs -chown {user} {home}",
            url=url,
            status=error.status,
        ) from error
    return f"The home directory {home} can be written to."


def _check_home_can_be_made(facts: ClusterFacts, home: str) -> str:
    url, user = facts.files.daemon.active_url, facts.files.user
    parent = home.rpartition("/")[0] or "/"
    while parent != "/" and facts.files.find(parent) is None:
        parent = parent.rpartition("/")[0] or "/"
    try:
        facts.files.check_access(parent, "-wx")
    except AccessDeniedError as error:
        raise AccessDeniedError(
            f"The home directory {home} on {url} does not exist, and {user} may not make it in "
            f"{parent}. Ask an administrator: hdfs dfs -mkdir -p {home} && "
            f"hdfs dfs -chown {user} {home}",
            url=url,
            status=error.status,
        ) from error
    return f"The home directory {home} does not exist yet and can be made."


def check_safe_mode(facts: ClusterFacts) -> str:
    """The NameNode takes changes."""
    try:
        facts.files.status(facts.home)
    except ClusterFileNotFoundError:
        return "Without a home directory there is nothing to try it on."
    # Makes nothing, for it is there, but is refused where no change is accepted.
    facts.files.make_directories(facts.home)
    return "The file system takes changes."


def check_nodes(facts: ClusterFacts) -> str:
    """Some node is up."""
    running = [node for node in facts.nodes if node.is_running]
    if not running:
        states = ", ".join(f"{node.node_id} {node.state}" for node in facts.nodes) or "none at all"
        raise ResourcesUnavailableError(
            f"The cluster has no running node ({states}). Start a NodeManager, or look at its log "
            "for why the ResourceManager does not take it.",
            url=facts.info.url,
        )
    total = sum(node.total_mib for node in running)
    free = sum(node.available_mib for node in running)
    nodes = "1 node is" if len(running) == 1 else f"{len(running)} nodes are"
    return f"{nodes} running, with {free} of {total} MiB free."


def check_queue(facts: ClusterFacts, name: str) -> str:
    """The queue exists, holds applications and not only queues, and is open."""
    queue = find_queue(facts, name)
    if queue is None:
        return "The scheduler does not list its queues."
    return f"The queue {queue.path} is {queue.state}."


def find_queue(facts: ClusterFacts, name: str) -> Queue | None:
    """
    The queue that a name means; None where the scheduler does not list any.

    Raises:
        QueueNotFoundError: There is none, or it has queues below it.
        QueueStoppedError: It takes no applications.
    """
    queues = facts.queues
    if not queues:
        return None
    leaves = [queue for queue in queues if queue.is_leaf]
    known = ", ".join(queue.path for queue in leaves if queue.state == "RUNNING") or "none"
    url = facts.info.url
    found = [queue for queue in queues if queue.path == name] or [
        queue for queue in queues if queue.is_called(name)
    ]
    if not found:
        raise QueueNotFoundError(
            f"The cluster has no queue {name!r}. Queues that take applications: {known}.", url=url
        )
    # Of a parent and a leaf with the same last part, the leaf is meant.
    queue = next((queue for queue in found if queue.is_leaf), found[0])
    if not queue.is_leaf:
        raise QueueNotFoundError(
            f"The queue {queue.path} only holds other queues, so no application can be submitted "
            f"to it. Queues that take applications: {known}.",
            url=url,
        )
    if queue.state != "RUNNING":
        raise QueueStoppedError(
            f"The queue {queue.path} is {queue.state} and takes no new applications. "
            f"Queues that do: {known}.",
            url=url,
        )
    return queue


def check_resources(
    facts: ClusterFacts, requests: Iterable[ResourceRequest], queue: Queue | None = None
) -> str:
    """No container is to have more than the largest node has, or than YARN grants."""
    running = [node for node in facts.nodes if node.is_running]
    if not running:
        return check_nodes(facts)
    most_mib = max(node.total_mib for node in running)
    most_vcores = max(node.total_vcores for node in running)
    if queue is not None:
        most_mib = min(most_mib, queue.maximum_mib or most_mib)
        most_vcores = min(most_vcores, queue.maximum_vcores or most_vcores)
    url = facts.info.url
    for request in requests:
        fits = [
            node
            for node in running
            if node.total_mib >= request.memory_mib and node.total_vcores >= request.vcores
        ]
        asked = f"{request.what} asks for {request.memory_mib} MiB and {_cores(request.vcores)}"
        if not fits:
            largest = max(running, key=lambda node: (node.total_mib, node.total_vcores))
            raise ResourcesUnavailableError(
                f"{_capital(asked)} in one container, and no node has that: the largest, "
                f"{largest.node_id}, has {largest.total_mib} MiB and "
                f"{_cores(largest.total_vcores)}. Ask for at most {most_mib} MiB and "
                f"{_cores(most_vcores)}, or for more containers of a smaller size.",
                url=url,
            )
        if queue is not None:
            check_maximum(request, queue.maximum_mib, queue.maximum_vcores, url=url)
    return f"Each container fits a node; the most that one can have is {most_mib} MiB."


def check_maximum(
    request: ResourceRequest,
    maximum_mib: int | None,
    maximum_vcores: int | None,
    *,
    url: str | None = None,
) -> None:
    """
    Raises unless YARN grants this much to one container.

    The maximum comes with a new application's ID, or from the queue.

    Raises:
        ResourcesUnavailableError: It does not.
    """
    if (maximum_mib and request.memory_mib > maximum_mib) or (
        maximum_vcores and request.vcores > maximum_vcores
    ):
        raise ResourcesUnavailableError(
            f"{_capital(request.what)} asks for {request.memory_mib} MiB and "
            f"{_cores(request.vcores)} in one container, and YARN grants at most {maximum_mib} MiB "
            f"and {maximum_vcores} vcores (yarn.scheduler.maximum-allocation-mb and -vcores). "
            "Ask for less, or for more containers of a smaller size.",
            url=url,
        )


def check_clock(facts: ClusterFacts) -> str:
    """This machine's clock and the RM's agree."""
    there = facts.info.server_time
    if there is None:
        return "The ResourceManager does not tell the time."
    skew = datetime.now(timezone.utc) - there
    if abs(skew) > LARGEST_CLOCK_SKEW:
        ahead = "ahead of" if skew > timedelta(0) else "behind"
        raise ClusterResponseError(
            f"This machine's clock is {abs(skew).total_seconds():.0f} s {ahead} the "
            f"ResourceManager's at {facts.info.url}. Set it right (NTP): certificates would not "
            "be valid yet, or no longer, on the other side.",
            url=facts.info.url,
        )
    return "The clocks agree."


def verify(facts: ClusterFacts, *, queue: str, requests: Sequence[ResourceRequest]) -> None:
    """
    Everything that a submission needs of the cluster, asked for at the same time.

    Args:
        facts: The cluster.
        queue: Where the application is to count.
        requests: The containers it asks for, its Application Master's included.

    Raises:
        ClusterError: The first thing that is not as it has to be; by its kind.
    """

    def resources() -> str:
        return check_resources(facts, requests, find_queue(facts, queue))

    def home() -> str:
        check_home_directory(facts)
        return check_safe_mode(facts)

    checks = (lambda: check_resource_manager(facts), lambda: check_file_system(facts))
    with ThreadPoolExecutor(4, thread_name_prefix="knit-checks") as pool:
        # In this order, so that of several failures the most basic one is raised.
        for future in [pool.submit(check) for check in (*checks, resources, home)]:
            future.result()


def diagnose(
    configuration: ClusterConfig | Callable[[], ClusterConfig],
    *,
    user: str | None = None,
    queue: str | None = "default",
    timeout: timedelta = timedelta(seconds=10),
) -> list[CheckResult]:
    """
    Looks at everything that a submission depends on, for `knit doctor`.

    What builds on a check that failed is left out.

    Args:
        configuration: The cluster's, or what reads it.
        user: Default: as `SimpleAuthentication.from_environment` finds it.
        queue: A queue to look at; None for none.
        timeout: For each question.
    """
    results: list[CheckResult] = []

    def configured() -> ClusterConfig:
        return configuration() if callable(configuration) else configuration

    config = _step(results, "configuration", configured, lambda c: f"Read from {c.where}.")
    if config is None:
        return results
    cluster = _step(
        results,
        "user",
        lambda: Cluster(config, user=user, timeout=timeout),
        lambda c: f"The cluster knows you as {c.user}, by simple authentication.",
    )
    if cluster is None:
        return results
    with cluster:
        _diagnose_resource_manager(cluster, queue, results)
        _diagnose_file_system(cluster, results)
    return results


def _diagnose_resource_manager(
    cluster: Cluster, queue: str | None, results: list[CheckResult]
) -> None:
    if not _step(results, "resource manager address", lambda: cluster.resource_manager, None):
        return
    facts = ClusterFacts(cluster)
    if not _step(results, "resource manager", lambda: check_resource_manager(facts)):
        return
    _step(results, "clock", lambda: check_clock(facts))
    _step(results, "nodes", lambda: check_nodes(facts))
    if queue is not None:
        _step(results, "queue", lambda: check_queue(facts, queue))


def _diagnose_file_system(cluster: Cluster, results: list[CheckResult]) -> None:
    if not _step(results, "file system address", lambda: cluster.files, None):
        return
    facts = ClusterFacts(cluster)
    if not _step(results, "file system", lambda: check_file_system(facts)):
        return
    if _step(results, "home directory", lambda: check_home_directory(facts)) and _step(
        results, "safe mode", lambda: check_safe_mode(facts)
    ):
        _step(results, "staging", lambda: check_staging(cluster))


def check_staging(cluster: Cluster) -> str:
    """A file can be written to a DataNode, read back and deleted."""
    cluster.staging.probe()
    return "A file was written to a DataNode, read back and deleted."


def _step(
    results: list[CheckResult],
    name: str,
    check: Callable[[], _T],
    message: Callable[[_T], str] | None = str,
) -> _T | None:
    """Runs one check, writes down what came of it, and returns what it returned."""
    try:
        found = check()
    except KnitError as error:
        came_back, _, hint = error.message.partition(". ")
        results.append(
            CheckResult(name=name, ok=False, message=f"{came_back}.", hint=hint, error=error)
        )
        return None
    if message is not None:
        results.append(CheckResult(name=name, ok=True, message=message(found)))
    return found


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _cores(count: int) -> str:
    return f"{count} vcore" if count == 1 else f"{count} vcores"
