"""The ResourceManager by the protocol that Hadoop's own clients speak."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import unquote, urlsplit

from knit._cluster.rpc.client import RpcClient
from knit._cluster.security.token_file import Credentials
from knit._cluster.security.tokens import Token
from knit._cluster.yarn import rpc_messages as rpc
from knit._cluster.yarn import rpc_records as records
from knit._cluster.yarn.application_filter import ApplicationFilter
from knit._cluster.yarn.door import (
    ApplicationEndingError,
    ApplicationUnknownError,
    AttemptReport,
    SchedulerRefusalError,
)
from knit._cluster.yarn.nodes import ClusterInfo, ClusterMetrics, NewApplication
from knit._cluster.yarn.submission import Submission, SubmittedFile, aliased
from knit._cluster.yarn.times import expiry_text
from knit._values.amounts import ResourceAmount
from knit._values.deadlines import Deadline
from knit._values.identifiers import APPLICATION_ID, numbers_of
from knit._values.nodes import NodeReport, NodeState
from knit._values.queues import QueueReport
from knit._values.reports import ApplicationReport
from knit._values.states import YarnState
from knit.exceptions import ClusterError, ClusterResponseError

_UNKNOWN = ("ApplicationNotFoundException", "ApplicationAttemptNotFoundException")
_ENDING = ("cannot be moved", "cannot move", "cannot update priority")
_LONGEST_TIME = 2**63 - 1


class RpcDoor:
    """
    The RM, or an HA pair of them, by its RPC port.

    It tells neither its version nor its clock nor its configuration, and of queues less.

    Args:
        client: The connections.
    """

    name = "RPC"

    def __init__(self, client: RpcClient) -> None:
        self._client = client

    @property
    def address(self) -> str:
        return self._client.active.place

    def now(self) -> datetime:
        return datetime.now(timezone.utc)

    def info(self, what: str, deadline: Deadline) -> ClusterInfo:
        # It listens for clients once it is active and has loaded its applications, and not before.
        self._client.call("getClusterMetrics", what=what, deadline=deadline)
        return ClusterInfo(
            url=self.address,
            hadoop_version="",
            state="STARTED",
            ha_state="ACTIVE",
            started_time=None,
            server_time=None,
        )

    def metrics(self, what: str, deadline: Deadline) -> ClusterMetrics:
        counts = self._client.call("getClusterMetrics", what=what, deadline=deadline).metrics
        running = [node for node in self.nodes(what, deadline) if node.state is NodeState.RUNNING]
        total = sum((node.total for node in running), start=ResourceAmount())
        used = sum((node.used for node in running), start=ResourceAmount())
        return ClusterMetrics(
            active_nodes=counts.active,
            lost_nodes=counts.lost,
            unhealthy_nodes=counts.unhealthy,
            available_mib=total.memory_mib - used.memory_mib,
            available_vcores=total.vcores - used.vcores,
            total_mib=total.memory_mib,
            total_vcores=total.vcores,
        )

    def nodes(self, what: str, deadline: Deadline) -> list[NodeReport]:
        # Without states it answers with those in any.
        found = self._client.call("getClusterNodes", what=what, deadline=deadline)
        return list(map(records.node, found.nodes))

    def queues(self, what: str, deadline: Deadline) -> list[QueueReport]:
        # FIFO has one queue, and takes any name for it.
        found = self._client.call(
            "getQueueInfo",
            what=what,
            deadline=deadline,
            name="root",
            include_applications=False,
            include_children=True,
            recursive=True,
        )
        return records.queues(found.queue) if found.HasField("queue") else []

    def node_labels(self, what: str, deadline: Deadline) -> list[str]:
        found = self._client.call("getClusterNodeLabels", what=what, deadline=deadline)
        # Hadoop 2 has names, Hadoop 3 objects, and tells the names too.
        names = [label.name for label in found.labels] or list(found.names)
        return [name for name in names if name]

    def new_application(self, what: str, deadline: Deadline) -> NewApplication:
        found = self._client.call("getNewApplication", what=what, deadline=deadline)
        if not found.application_id.cluster_timestamp:
            raise ClusterResponseError(
                f"{what}: {self.address} answered without one. Is this a ResourceManager?",
                url=self.address,
            )
        return NewApplication(
            application_id=records.application_id_of(found.application_id),
            maximum_mib=found.maximum.memory,
            maximum_vcores=found.maximum.vcores,
            maximum_others=records.others_of(found.maximum),
        )

    def submit(self, submission: Submission, what: str, deadline: Deadline) -> None:
        self._client.call(
            "submitApplication", what=what, deadline=deadline, context=context_of(submission)
        )

    def application(self, application_id: str, what: str, deadline: Deadline) -> ApplicationReport:
        with _unknown():
            found = self._call("getApplicationReport", application_id, what, deadline)
        return records.application(found.report)

    def applications(
        self, wanted: ApplicationFilter, what: str, deadline: Deadline
    ) -> list[ApplicationReport]:
        states = None
        if wanted.states is not None and YarnState.UNKNOWN not in wanted.states:
            states = [rpc.number_of(state.value, rpc.APPLICATION_STATES) for state in wanted.states]
        found = self._client.call(
            "getApplications",
            what=what,
            deadline=deadline,
            types=wanted.types,
            states=states,
            users=None if wanted.user is None else [wanted.user],
            tags=[tag.lower() for tag in wanted.tags],  # it gives those with any of them
            name=wanted.name,
            **_range("start", wanted.started_begin, wanted.started_end),
            **_range("finish", wanted.finished_begin, wanted.finished_end),
        )
        return list(map(records.application, found.applications))

    def attempts(self, application_id: str, what: str, deadline: Deadline) -> list[AttemptReport]:
        with _unknown():
            found = self._call("getApplicationAttempts", application_id, what, deadline)
        return [
            AttemptReport(
                container_id=records.container_id_of(attempt.container_id)
                if attempt.HasField("container_id")
                else None,
                node_id=None,
            )
            for attempt in found.attempts
        ]

    def configured(self, name: str, what: str, deadline: Deadline) -> str | None:
        return None

    def kill(self, application_id: str, what: str, deadline: Deadline) -> None:
        with _unknown():
            self._call("forceKillApplication", application_id, what, deadline)

    def move(self, application_id: str, queue: str, what: str, deadline: Deadline) -> None:
        with _refusals():
            self._call("moveApplicationAcrossQueues", application_id, what, deadline, queue=queue)

    def set_priority(
        self, application_id: str, priority: int, what: str, deadline: Deadline
    ) -> int | None:
        with _refusals():
            found = self._call(
                "updateApplicationPriority",
                application_id,
                what,
                deadline,
                priority=rpc.MESSAGES.new("Priority", priority=priority),
            )
        return found.priority.priority if found.HasField("priority") else None

    def set_expiry(
        self, application_id: str, expiry: datetime, what: str, deadline: Deadline
    ) -> None:
        timeout = rpc.MESSAGES.new(
            "UpdatedTimeout", type=rpc.LIFETIME, expire_time=expiry_text(expiry)
        )
        self._call("updateApplicationTimeouts", application_id, what, deadline, timeouts=[timeout])

    def delegation_token(self, renewer: str, what: str, deadline: Deadline) -> Token:
        found = self._client.call(
            "getDelegationToken", what=what, deadline=deadline, renewer=renewer
        )
        if not found.HasField("token"):
            raise ClusterResponseError(
                f"{what}: {self.address} answered without one. Does it authenticate with "
                "Kerberos? Correct hadoop.security.authentication.",
                url=self.address,
            )
        token = found.token
        return Token(token.identifier, token.password, token.kind, token.service)

    def close(self) -> None:
        self._client.close()

    def _call(
        self, method: str, application_id: str, what: str, deadline: Deadline, **fields: Any
    ) -> Any:
        application = _application_id(application_id)
        return self._client.call(
            method, what=what, deadline=deadline, application_id=application, **fields
        )


def _application_id(text: str) -> Any:
    if not APPLICATION_ID.fullmatch(text):
        raise ApplicationUnknownError(ClusterResponseError(f"{text!r} is no application's ID."))
    timestamp, number = numbers_of(text)
    return rpc.MESSAGES.new("ApplicationId", id=number, cluster_timestamp=timestamp)


@contextmanager
def _unknown() -> Iterator[None]:
    """For what is asked of an application: there may be none."""
    try:
        yield
    except ClusterError as error:
        if error.exception in _UNKNOWN:
            raise ApplicationUnknownError(error) from error
        raise


@contextmanager
def _refusals() -> Iterator[None]:
    """For what is to be changed of it: the scheduler has its say, too."""
    try:
        with _unknown():
            yield
    except ClusterError as error:
        if error.exception == "YarnException":
            said = error.message.partition("YarnException: ")[2].rpartition("). ")[0]
            if any(sign in said.lower() for sign in _ENDING):
                raise ApplicationEndingError(error) from error
            raise SchedulerRefusalError(error, said) from error
        raise


def _range(name: str, begin: datetime | None, end: datetime | None) -> dict[str, Any]:
    if begin is None and end is None:
        return {}
    # As by REST: what has not begun or ended has 0, which is not before anything here.
    first = 1 if begin is None else max(1, math.ceil(begin.timestamp() * 1000))
    last = _LONGEST_TIME if end is None else max(first, math.floor(end.timestamp() * 1000))
    return {f"{name}_begin": first, f"{name}_end": last}


def context_of(submission: Submission) -> Any:
    """The message that hands in an application."""
    new = rpc.MESSAGES.new
    resource = new("Resource", memory=submission.memory_mib, vcores=submission.vcores)
    credentials = Credentials(aliased(submission.tokens), submission.secrets)
    container = new(
        "ContainerLaunchContext",
        local_resources=[
            new("NamedLocalResource", key=name, value=_file(file))
            for name, file in submission.files.items()
        ],
        tokens=credentials.to_bytes(),
        command=[submission.command],
        access=[
            new("Access", type=rpc.number_of(kind, rpc.ACCESS_TYPES), acl=acl)
            for kind, acl in submission.access.items()
        ],
    )
    context = new(
        "SubmissionContext",
        application_id=_application_id(submission.application_id),
        name=submission.name,
        queue=submission.queue,
        container=container,
        max_attempts=submission.max_attempts,
        resource=resource,
        type=submission.application_type,
        keep_containers=False,
        tags=submission.tags,
        node_label=submission.node_label,
    )
    if not submission.cancels_tokens:
        context.cancel_tokens_when_complete = False
    if submission.priority is not None:
        context.priority.priority = submission.priority
    if submission.attempt_failures_validity is not None:
        context.attempt_failures_validity = int(
            submission.attempt_failures_validity / timedelta(milliseconds=1)
        )
    if submission.rolled_logs is not None:
        context.log_aggregation.rolled_logs_include_pattern = submission.rolled_logs
    if submission.master_node_label is not None:
        # Of a container's label there is no other place than the request for it.
        context.requests.add(
            priority=new("Priority", priority=0),
            resource_name="*",
            capability=resource,
            num_containers=1,
            node_label=submission.master_node_label,
        )
    return context


def _file(file: SubmittedFile) -> Any:
    parts = urlsplit(file.url)
    return rpc.MESSAGES.new(
        "LocalResource",
        resource=rpc.MESSAGES.new(
            "Url",
            scheme=parts.scheme,
            host=parts.hostname,
            port=parts.port,
            file=unquote(parts.path),
        ),
        size=file.size_bytes,
        timestamp=file.modify_time_ms,
        type=rpc.number_of(file.type, rpc.FILE_TYPES),
        visibility=rpc.number_of(file.visibility, rpc.VISIBILITIES),
    )
