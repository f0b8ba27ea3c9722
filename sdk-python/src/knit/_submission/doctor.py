"""All checks with a report of each, for `knit doctor`."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta

import attrs

from knit._cluster.cluster import Cluster
from knit._cluster.configuration.config import ClusterConfig
from knit._staging.staging import Staging
from knit._submission.checks import (
    check_clock,
    check_file_system,
    check_home_directory,
    check_queue,
    check_resource_manager,
    check_safe_mode,
    check_submission,
)
from knit._submission.facts import _T, ClusterFacts
from knit._submission.kerberos_checks import (
    check_krb5_conf,
    check_library,
    check_ticket,
    check_user,
)
from knit._submission.node_checks import await_nodes
from knit.exceptions import KnitError


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


def diagnose(
    configuration: ClusterConfig | Callable[[], ClusterConfig],
    *,
    user: str | None = None,
    queue: str | None = "default",
    timeout: timedelta = timedelta(seconds=10),
    keytab: str | os.PathLike[str] | None = None,
    principal: str | None = None,
) -> list[CheckResult]:
    """
    Looks at everything that a submission depends on, for `knit doctor`.

    What builds on a check that failed is left out.

    Args:
        configuration: The cluster's, or what reads it.
        user: As for `Client`.
        queue: A queue to look at; None for none.
        timeout: For each question.
        keytab: As for `Client`.
        principal: As for `Client`.
    """
    results: list[CheckResult] = []

    def configured() -> ClusterConfig:
        return configuration() if callable(configuration) else configuration

    config = _step(results, "configuration", configured, lambda c: f"Read from {c.where}.")
    if config is None:
        return results

    def opened() -> Cluster:
        return Cluster(config, user=user, keytab=keytab, principal=principal, timeout=timeout)

    cluster = _step(
        results,
        "user",
        opened,
        None if config.kerberos else _simple_user,
    )
    if cluster is None:
        return results
    with cluster:
        if cluster.tickets is not None and not _diagnose_kerberos(cluster, results):
            return results
        _diagnose_resource_manager(cluster, queue, results)
        _diagnose_file_system(cluster, results)
    return results


def _simple_user(cluster: Cluster) -> str:
    if cluster.acting_for is not None:
        return (
            f"You are {cluster.claimed_name} by simple authentication and act for "
            f"{cluster.acting_for}, which the cluster has to allow."
        )
    return f"You are {cluster.user}, by simple authentication: the configuration asks for no other."


def _diagnose_kerberos(cluster: Cluster, results: list[CheckResult]) -> bool:
    """Whether the cluster can be asked, for which there has to be a ticket."""
    tickets = cluster.tickets
    return (
        tickets is not None
        and _step(results, "kerberos library", check_library) is not None
        and _step(results, "krb5.conf", check_krb5_conf) is not None
        and _step(results, "ticket", lambda: check_ticket(tickets)) is not None
        and _step(results, "user", lambda: check_user(cluster)) is not None
    )


def _diagnose_resource_manager(
    cluster: Cluster, queue: str | None, results: list[CheckResult]
) -> None:
    if not _step(results, "resource manager address", lambda: cluster.resource_manager, None):
        return
    facts = ClusterFacts(cluster)
    if not _step(results, "resource manager", lambda: check_resource_manager(facts)):
        return
    _step(results, "clock", lambda: check_clock(facts))
    _step(results, "nodes", lambda: await_nodes(facts))
    _step(results, "submission", lambda: check_submission(facts))
    if queue is not None:
        _step(results, "queue", lambda: check_queue(facts, queue))


def _diagnose_file_system(cluster: Cluster, results: list[CheckResult]) -> None:
    if not _step(results, "file system address", lambda: cluster.files.address, None):
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
    Staging.on(cluster).directory.probe()
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
