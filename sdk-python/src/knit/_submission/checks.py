"""
What can be known about a cluster, and about an application on it, before anything is submitted.

Each check is a function that returns a sentence where all is well, and raises the error where it
is not. `verify` runs them for a submission and raises the first error; `doctor.diagnose` runs them
all and makes a report of each.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta, timezone

from knit._cluster.patience import SAFE_MODE
from knit._cluster.yarn.nodes import NewApplication
from knit._cluster.yarn.queue_names import nearest, open_queues
from knit._submission.facts import ClusterFacts, ResourceRequest
from knit._submission.node_checks import check_nodes
from knit._submission.sizes import beyond_nodes, beyond_queue, check_maximum, check_named, cores
from knit._submission.spec_checks import check_spec
from knit._values.giving_up import Threads
from knit._values.queues import QueueReport, QueueState
from knit._values.spec import ApplicationSpec
from knit.exceptions import (
    AccessDeniedError,
    ClusterError,
    ClusterFileNotFoundError,
    ClusterResponseError,
    KnitError,
    QueueNotFoundError,
    QueueStoppedError,
    ResourcesUnavailableError,
    StandbyError,
    SubmissionError,
)

#: As Kerberos has it.
LARGEST_CLOCK_SKEW = timedelta(minutes=5)


def check_resource_manager(facts: ClusterFacts) -> str:
    """The RM answers on its web port, and is active."""
    info = facts.info
    if info.ha_state not in ("ACTIVE", ""):
        raise StandbyError(
            f"The ResourceManager at {info.url} answers, but is {info.ha_state}. Name the active "
            "one, or both (yarn.resourcemanager.ha.rm-ids, or knit.resourcemanager.url).",
            url=info.url,
        )
    # By RPC it does not tell.
    version = f"Hadoop {info.hadoop_version}" if info.hadoop_version else "by RPC"
    return f"The ResourceManager at {info.url} is active ({version})."


def check_file_system(facts: ClusterFacts) -> str:
    """The NameNode answers WebHDFS on its web port, and is active."""
    home = facts.home
    return f"The NameNode at {facts.files.address} answers; your home is {home}."


def check_home_directory(facts: ClusterFacts) -> str:
    """The home directory exists and can be written to; so does `.knit` in it, if it is there."""
    home, url = facts.home, facts.files.address
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
    url, user = facts.files.address, facts.files.user
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


def check_safe_mode(facts: ClusterFacts, *, patience: timedelta | None = None) -> str:
    """
    The NameNode takes changes.

    Args:
        facts: The cluster.
        patience: How long one is waited for that will leave safe mode by itself. Default: as long
            as any answer.
    """
    try:
        facts.files.status(facts.home)
    except ClusterFileNotFoundError:
        return "Without a home directory there is nothing to try it on."
    # Makes nothing, for it is there, but is refused where no change is accepted.
    facts.files.make_directories(facts.home, timeout=patience)
    return "The file system takes changes."


def check_submission(facts: ClusterFacts) -> str:
    """The RM takes submissions over REST. An ID that nobody uses costs nothing."""
    new = facts.new_application()
    return (
        f"Applications can be submitted; YARN grants at most {new.maximum_mib} MiB and "
        f"{cores(new.maximum_vcores)} to one container."
    )


def check_queue(facts: ClusterFacts, name: str) -> str:
    """The queue exists, or may be made for whoever submits to it, and is open."""
    queue = find_queue(facts, name)
    if queue is not None:
        return f"The queue {queue.path} is {queue.state.value}."
    if not facts.queues:
        return "The scheduler does not list its queues."
    if facts.makes_queues:
        return (
            f"There is no queue {name!r} now; this scheduler makes queues by its own rules. "
            f"{open_queues(facts.queues)}"
        )
    raise queue_not_found(facts, name)


def find_queue(facts: ClusterFacts, name: str) -> QueueReport | None:
    """
    The queue for applications that a name means; None where the scheduler lists none.

    That is no reason yet to submit nothing: a scheduler may make queues, and choose others than
    those that are asked for.

    Raises:
        QueueStoppedError: It takes no applications.
    """
    queues = facts.queues
    found = [queue for queue in queues if queue.path == name] or [
        queue for queue in queues if queue.is_called(name)
    ]
    # Of a parent and a leaf with the same last part, the leaf is meant.
    queue = next((queue for queue in found if queue.is_leaf), None)
    if queue is not None and queue.state is not QueueState.RUNNING:
        raise QueueStoppedError(
            f"The queue {queue.path} is {queue.state.value} and takes no new applications. "
            f"{open_queues(facts.queues)}",
            url=facts.info.url,
        )
    return queue


def queue_not_found(facts: ClusterFacts, name: str, said: str | None = None) -> QueueNotFoundError:
    """The error for a queue that is not there, with what YARN said and which are."""
    parent = next((queue for queue in facts.queues if queue.is_called(name)), None)
    what = (
        f"The cluster has no queue {name!r}"
        if parent is None
        else f"The queue {parent.path} only holds other queues"
    )
    because = f", and YARN refused the application ({said})" if said else ""
    close = nearest(facts.queues, name) if parent is None else ""
    return QueueNotFoundError(
        f"{what}{because}.{close} {open_queues(facts.queues)}", url=facts.info.url
    )


def explain_refusal(facts: ClusterFacts, queue: str, error: SubmissionError) -> ClusterError:
    """What a refused submission means, as far as the queue's part in it can be told."""
    try:
        if facts.queues and find_queue(facts, queue) is None:
            said = error.message.rstrip(".")
            return queue_not_found(facts, queue, said)
    except QueueStoppedError as stopped:
        return stopped
    except KnitError:
        pass  # what YARN said has to do
    return error


def advise(
    facts: ClusterFacts, requests: Iterable[ResourceRequest], queue: QueueReport | None = None
) -> list[str]:
    """
    What keeps containers waiting as the cluster is now, though YARN takes the application.

    Nodes may be added on demand, and come back; so nothing of it is a reason to refuse.
    """
    requests = list(requests)
    advice: list[str] = []
    metrics = facts.metrics
    if not metrics.active_nodes:
        advice.append(_advice_without_nodes(facts))
    else:
        # Of nodes of about one size each has room for what the average has: no need to list them.
        average_mib = metrics.total_mib / metrics.active_nodes
        average_vcores = metrics.total_vcores / metrics.active_nodes
        # Of those that are about to come back each may be large enough.
        large = (
            []
            if facts.nodes_may_return
            else [r for r in requests if r.memory_mib > average_mib or r.vcores > average_vcores]
        )
        if large:
            running = [node for node in facts.nodes if node.is_running]
            advice += filter(None, (beyond_nodes(request, running) for request in large))
    if queue is not None:
        advice += filter(None, (beyond_queue(request, queue) for request in requests))
    return advice


def _advice_on_queue(facts: ClusterFacts, name: str) -> str:
    try:
        return check_queue(facts, name)
    except QueueNotFoundError as error:
        return f"{error.message} YARN is asked all the same, for it may choose one by its rules."


def _advice_without_nodes(facts: ClusterFacts) -> str:
    try:
        return check_nodes(facts)
    except ResourcesUnavailableError as error:
        return error.message


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
            f"ResourceManager's at {facts.info.url}. Set it right (NTP): applications run all the "
            "same, but times are shown wrong, and services that check them refuse this machine.",
            url=facts.info.url,
        )
    return "The clocks agree."


def verify(
    facts: ClusterFacts,
    *,
    queue: str,
    requests: Sequence[ResourceRequest],
    spec: ApplicationSpec | None = None,
) -> list[str]:
    """
    Everything that a submission needs of the cluster, asked for at the same time.

    Only what YARN itself would refuse is refused.

    Args:
        facts: The cluster.
        queue: Where the application is to count.
        requests: The containers it asks for, its Application Master's included.
        spec: What else of it is looked at: labels, priority, attempts, access, places.

    Returns:
        What is worth knowing though it keeps nothing from being submitted, in sentences.

    Raises:
        ClusterError: The first thing that is not as it has to be; by its kind.
    """
    checks = _checks_of_a_submission(facts, queue, requests, spec)
    with Threads(len(checks), "knit-checks") as pool:
        # In this order, so that of several failures the most basic one is raised.
        return [advice for future in [pool.submit(c) for c in checks] for advice in future.result()]


def survey(
    facts: ClusterFacts,
    *,
    queue: str,
    requests: Sequence[ResourceRequest],
    spec: ApplicationSpec | None = None,
) -> tuple[list[KnitError], list[str]]:
    """
    The same, with everything that is not as it has to be, and not only the first of it.

    Returns:
        What would be raised, and what is worth knowing.
    """
    checks = _checks_of_a_submission(facts, queue, (), spec)
    checks += [
        functools.partial(_check_request, facts, queue, request, facts.new_application)
        for request in requests
    ]
    errors: dict[str, KnitError] = {}  # by what they say: what one asks, others build upon
    advice: dict[str, None] = {}
    with Threads(4, "knit-checks") as pool:
        for future in [pool.submit(check) for check in checks]:
            try:
                advice.update(dict.fromkeys(future.result()))
            except KnitError as error:  # noqa: PERF203
                errors.setdefault(error.message, error)
    return list(errors.values()), list(advice)


def _checks_of_a_submission(
    facts: ClusterFacts,
    queue: str,
    requests: Sequence[ResourceRequest],
    spec: ApplicationSpec | None,
) -> list[Callable[[], list[str]]]:
    """The most basic first; each returns advice."""

    def resource_manager() -> list[str]:
        check_resource_manager(facts)
        try:
            check_clock(facts)
        except ClusterResponseError as error:
            return [error.message]
        return []

    def file_system() -> list[str]:
        check_file_system(facts)
        return []

    def resources() -> list[str]:
        found = _visible_queue(facts, queue)
        for request in requests:
            _check_queue_grants(facts, found, request)
        try:
            advice = [] if found or not facts.queues else [_advice_on_queue(facts, queue)]
            return advice + advise(facts, requests, found)
        except (AccessDeniedError, ClusterResponseError):
            return []  # not everybody may look at them

    def home() -> list[str]:
        check_home_directory(facts)
        check_safe_mode(facts, patience=SAFE_MODE)
        return []

    def specified() -> list[str]:
        return [] if spec is None else check_spec(facts, spec, _visible_queue(facts, queue))

    return [resource_manager, file_system, resources, home, specified]


def _check_request(
    facts: ClusterFacts,
    queue: str,
    request: ResourceRequest,
    new_application: Callable[[], NewApplication],
) -> list[str]:
    found = _visible_queue(facts, queue)
    _check_queue_grants(facts, found, request)
    new = new_application()
    check_maximum(request, new.maximum_mib, new.maximum_vcores)
    check_named(request, new)
    try:
        return advise(facts, [request], found)
    except (AccessDeniedError, ClusterResponseError):
        return []


def _visible_queue(facts: ClusterFacts, queue: str) -> QueueReport | None:
    try:
        return find_queue(facts, queue)
    except (AccessDeniedError, ClusterResponseError):
        return None  # not everybody may look at the queues


def _check_queue_grants(
    facts: ClusterFacts, queue: QueueReport | None, request: ResourceRequest
) -> None:
    if queue is not None and queue.max_container is not None:
        check_maximum(
            request,
            queue.max_container.memory_mib,
            queue.max_container.vcores,
            where=f"in the queue {queue.path}",
            url=facts.info.url,
        )
