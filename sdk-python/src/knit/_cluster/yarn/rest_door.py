"""The ResourceManager's REST API, as far as knit uses it. Hadoop 2.10 to 3.5."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from knit._cluster.rest.answer_errors import json_of
from knit._cluster.rest.answers import Response, http_time
from knit._cluster.rest.client import HttpClient
from knit._cluster.rest.daemons import RESOURCE_MANAGER
from knit._cluster.rest.failover import DaemonClient
from knit._cluster.security.tokens import MalformedTokenError, Token
from knit._cluster.yarn.application_filter import ApplicationFilter
from knit._cluster.yarn.applications import application_report
from knit._cluster.yarn.door import (
    ApplicationEndingError,
    ApplicationUnknownError,
    AttemptReport,
    SchedulerRefusalError,
)
from knit._cluster.yarn.json import int_in, number_in, object_in, objects_in, to_time
from knit._cluster.yarn.nodes import ClusterInfo, ClusterMetrics, NewApplication, node_report
from knit._cluster.yarn.queues import queues_of
from knit._cluster.yarn.submission import Submission, SubmittedFile, aliased
from knit._cluster.yarn.times import expiry_text
from knit._values.deadlines import Deadline
from knit._values.nodes import NodeReport
from knit._values.queues import QueueReport
from knit._values.reports import ApplicationReport
from knit.exceptions import ClusterError, ClusterResponseError, WrongPortError

_API = "/ws/v1/cluster"
_JSON = {"Content-Type": "application/json"}
_WITHOUT_A_WORD = "UndeclaredThrowableException"
"""What is answered, with a 500 or 503, where the scheduler refuses: without a reason."""


class RestDoor:
    """
    The RM, or an HA pair of them, by its web server.

    Args:
        http: The connections.
        base_urls: Where it may answer.
    """

    name = "REST"

    def __init__(self, http: HttpClient, base_urls: Sequence[str]) -> None:
        self.daemon = DaemonClient(http, RESOURCE_MANAGER, tuple(base_urls))

    @property
    def address(self) -> str:
        return self.daemon.active_url

    def now(self) -> datetime:
        return self.daemon.now()

    def info(self, what: str, deadline: Deadline) -> ClusterInfo:
        """
        What the active RM says of itself.

        Its `ws/v1/cluster/info` is answered on standby too, so a second address that says ACTIVE
        is preferred to a first one that says STANDBY.
        """
        response = self.daemon.request("GET", f"{_API}/info", what=what, deadline=deadline)
        info = object_in(json_of(response, what, RESOURCE_MANAGER), "clusterInfo")
        if not info:
            raise ClusterResponseError(
                f"{what}: {response.url} answered without clusterInfo. Is this a ResourceManager?",
                url=response.url,
                status=response.status,
            )
        if info.get("haState") == "STANDBY" and len(self.daemon.base_urls) > 1:
            # Any other call is refused on standby, and so finds the active one.
            self.daemon.get_json(f"{_API}/metrics", what=what, deadline=deadline)
            response = self.daemon.request("GET", f"{_API}/info", what=what, deadline=deadline)
            info = object_in(json_of(response, what, RESOURCE_MANAGER), "clusterInfo")
        return ClusterInfo(
            url=response.url.removesuffix(f"{_API}/info"),
            hadoop_version=str(info.get("hadoopVersion", "")),
            state=str(info.get("state", "")),
            ha_state=str(info.get("haState", "ACTIVE")),
            started_time=to_time(info.get("startedOn")),
            server_time=http_time(response.headers.get("date")),
        )

    def requested_user(self, deadline: Deadline) -> str | None:
        """Who we are, as the RM has it; None where it does not say. Hadoop 3.4 and later."""
        data = self.daemon.get_json(f"{_API}/userinfo", what="Asking who we are", deadline=deadline)
        found = data.get("requestedUser")
        return found if isinstance(found, str) and found else None

    def metrics(self, what: str, deadline: Deadline) -> ClusterMetrics:
        data = self.daemon.get_json(f"{_API}/metrics", what=what, deadline=deadline)
        found = object_in(data, "clusterMetrics")
        return ClusterMetrics(
            active_nodes=int_in(found, "activeNodes"),
            lost_nodes=int_in(found, "lostNodes"),
            unhealthy_nodes=int_in(found, "unhealthyNodes"),
            available_mib=int_in(found, "availableMB"),
            available_vcores=int_in(found, "availableVirtualCores"),
            total_mib=int_in(found, "totalMB"),
            total_vcores=int_in(found, "totalVirtualCores"),
        )

    def nodes(self, what: str, deadline: Deadline) -> list[NodeReport]:
        data = self.daemon.get_json(f"{_API}/nodes", what=what, deadline=deadline)
        return list(map(node_report, objects_in(object_in(data, "nodes"), "node")))

    def queues(self, what: str, deadline: Deadline) -> list[QueueReport]:
        data = self.daemon.get_json(f"{_API}/scheduler", what=what, deadline=deadline)
        return queues_of(object_in(object_in(data, "scheduler"), "schedulerInfo"))

    def node_labels(self, what: str, deadline: Deadline) -> list[str]:
        data = self.daemon.get_json(f"{_API}/get-node-labels", what=what, deadline=deadline)
        # Hadoop 2 has names, Hadoop 3 objects; where there is none, nothing.
        labels: Any = data.get("nodeLabelInfo") or data.get("nodeLabels") or []
        if isinstance(labels, (str, Mapping)):
            labels = [labels]
        names = (label.get("name") if isinstance(label, Mapping) else label for label in labels)
        return [str(name) for name in names if name]

    def new_application(self, what: str, deadline: Deadline) -> NewApplication:
        response = self._send("POST", "/apps/new-application", None, what, deadline)
        data = json_of(response, what, RESOURCE_MANAGER)
        maximum = object_in(data, "maximum-resource-capability")
        application_id = str(data.get("application-id", ""))
        if not application_id.startswith("application_"):
            raise ClusterResponseError(
                f"{what}: {response.url} answered without one. Is this a ResourceManager?",
                url=response.url,
                status=response.status,
            )
        return NewApplication(
            application_id=application_id,
            maximum_mib=int_in(maximum, "memory"),
            maximum_vcores=int_in(maximum, "vCores"),
            maximum_others={
                str(found.get("name")): int_in(found, "value")
                for found in objects_in(
                    object_in(maximum, "resourceInformations"), "resourceInformation"
                )
                if found.get("name") not in ("memory-mb", "vcores")
            },
        )

    def submit(self, submission: Submission, what: str, deadline: Deadline) -> None:
        self._send("POST", "/apps", body_of(submission), what, deadline)

    def application(self, application_id: str, what: str, deadline: Deadline) -> ApplicationReport:
        data = self._of_application(application_id, "", what, deadline)
        return application_report(object_in(data, "app"))

    def applications(
        self, wanted: ApplicationFilter, what: str, deadline: Deadline
    ) -> list[ApplicationReport]:
        data = self.daemon.get_json(
            f"{_API}/apps", what=what, deadline=deadline, query=wanted.query()
        )
        return list(map(application_report, objects_in(object_in(data, "apps"), "app")))

    def attempts(self, application_id: str, what: str, deadline: Deadline) -> list[AttemptReport]:
        data = self._of_application(application_id, "/appattempts", what, deadline)
        return [
            AttemptReport(
                container_id=str(found.get("containerId") or "") or None,
                node_id=str(found.get("nodeId") or "") or None,
            )
            for found in objects_in(object_in(data, "appAttempts"), "appAttempt")
        ]

    def configured(self, name: str, what: str, deadline: Deadline) -> str | None:
        try:
            data = self.daemon.get_json(
                "/conf", what=what, deadline=deadline, query={"name": name, "format": "json"}
            )
        except ClusterError as error:
            if error.status == 404:
                return None
            raise
        value = object_in(data, "property").get("value")
        return str(value) if value is not None else None

    def kill(self, application_id: str, what: str, deadline: Deadline) -> None:
        with _unknown():
            self._put(application_id, "state", "KILLED", what, deadline)

    def move(self, application_id: str, queue: str, what: str, deadline: Deadline) -> None:
        with _unknown(), _refusals():
            self._put(application_id, "queue", queue, what, deadline)

    def set_priority(
        self, application_id: str, priority: int, what: str, deadline: Deadline
    ) -> int | None:
        with _unknown(), _refusals():
            response = self._put(application_id, "priority", priority, what, deadline)
        told = number_in(json_of(response, what, RESOURCE_MANAGER), "priority")
        return None if told is None else int(told)

    def set_expiry(
        self, application_id: str, expiry: datetime, what: str, deadline: Deadline
    ) -> None:
        body = {"timeout": {"type": "LIFETIME", "expiryTime": expiry_text(expiry)}}
        self._send("PUT", f"/apps/{application_id}/timeout", body, what, deadline)

    def delegation_token(self, renewer: str, what: str, deadline: Deadline) -> Token:
        response = self._send("POST", "/delegation-token", {"renewer": renewer}, what, deadline)
        text = json_of(response, what, RESOURCE_MANAGER).get("token")
        try:
            return Token.from_url_string(text if isinstance(text, str) else "")
        except MalformedTokenError as error:
            raise ClusterResponseError(
                f"{what}: {response.url} answered without one ({error}). Is this a "
                "ResourceManager?",
                url=response.url,
                status=response.status,
            ) from None

    def close(self) -> None:
        """The connections are the cluster's."""

    def _send(
        self, method: str, path: str, body: Mapping[str, Any] | None, what: str, deadline: Deadline
    ) -> Response:
        """All that is sent here is the same done twice as once."""
        return self.daemon.request(
            method,
            _API + path,
            what=what,
            deadline=deadline,
            body=None if body is None else json.dumps(body).encode(),
            headers=_JSON,
            repeatable=True,
        )

    def _put(
        self, application_id: str, name: str, value: object, what: str, deadline: Deadline
    ) -> Response:
        return self._send("PUT", f"/apps/{application_id}/{name}", {name: value}, what, deadline)

    def _of_application(
        self, application_id: str, path: str, what: str, deadline: Deadline
    ) -> dict[str, Any]:
        with _unknown():
            return self.daemon.get_json(
                f"{_API}/apps/{application_id}{path}", what=what, deadline=deadline
            )


@contextmanager
def _unknown() -> Iterator[None]:
    try:
        yield
    except ClusterError as error:
        # 400 is for what does not even look like an ID.
        if error.status in (400, 404) and not isinstance(error, WrongPortError):
            raise ApplicationUnknownError(error) from error
        raise


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except ClusterError as error:
        # "App in FINISHING state cannot be moved", as text: no RemoteException.
        if error.status == 400 and not isinstance(error, WrongPortError):
            raise ApplicationEndingError(error) from error
        if error.exception == _WITHOUT_A_WORD:
            raise SchedulerRefusalError(error, None) from error
        raise


def body_of(submission: Submission) -> dict[str, Any]:
    """The body of `POST ws/v1/cluster/apps`."""
    secrets = {
        name: base64.urlsafe_b64encode(value).decode() for name, value in submission.secrets.items()
    }
    credentials: dict[str, Any] = {"secrets": {"entry": _entries(secrets)}}
    if submission.tokens:
        tokens = {alias: t.url_string() for alias, t in aliased(submission.tokens).items()}
        credentials["tokens"] = {"entry": _entries(tokens)}
    container: dict[str, Any] = {
        "commands": {"command": submission.command},
        "local-resources": {
            "entry": [{"key": n, "value": _resource(file)} for n, file in submission.files.items()]
        },
        "credentials": credentials,
    }
    if submission.access:
        container["application-acls"] = {"entry": _entries(submission.access)}
    body: dict[str, Any] = {
        "application-id": submission.application_id,
        "application-name": submission.name,
        "application-type": submission.application_type,
        "queue": submission.queue,
        "max-app-attempts": submission.max_attempts,
        "keep-containers-across-application-attempts": False,
        "unmanaged-AM": False,
        "resource": {"memory": submission.memory_mib, "vCores": submission.vcores},
        "am-container-spec": container,
    }
    if not submission.cancels_tokens:
        body["cancel-tokens-when-complete"] = False
    if submission.tags:
        body["application-tags"] = {"tag": list(submission.tags)}
    if submission.priority is not None:
        body["priority"] = submission.priority
    if submission.attempt_failures_validity is not None:
        body["attempt-failures-validity-interval"] = int(
            submission.attempt_failures_validity / timedelta(milliseconds=1)
        )
    # What is left out is the queue's own.
    if submission.node_label is not None:
        body["app-node-label-expression"] = submission.node_label
    if submission.master_node_label is not None:
        body["am-container-node-label-expression"] = submission.master_node_label
    if submission.rolled_logs is not None:
        # With an own pattern, but for that, everything is collected at the end, as usual.
        body["log-aggregation-context"] = {"rolled-log-include-pattern": submission.rolled_logs}
    return body


def _entries(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]


def _resource(file: SubmittedFile) -> dict[str, Any]:
    return {
        "resource": file.url,
        "type": file.type,
        "visibility": file.visibility,
        "size": file.size_bytes,
        "timestamp": file.modify_time_ms,
    }
