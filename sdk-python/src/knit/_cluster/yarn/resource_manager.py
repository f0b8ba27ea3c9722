"""The ResourceManager's REST API, as far as knit uses it. Hadoop 2.10 to 3.5."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from knit._cluster.rest.answer_errors import json_of
from knit._cluster.rest.answers import http_time
from knit._cluster.rest.client import HttpClient
from knit._cluster.rest.daemons import RESOURCE_MANAGER
from knit._cluster.rest.failover import DaemonClient
from knit._cluster.yarn.application_filter import ApplicationFilter
from knit._cluster.yarn.applications import application_report
from knit._cluster.yarn.json import int_in, object_in, objects_in, to_time
from knit._cluster.yarn.nodes import ClusterInfo, ClusterMetrics, NewApplication, node_report
from knit._cluster.yarn.queues import queues_of
from knit._values.deadlines import Deadline, pauses
from knit._values.identifiers import numbers_of
from knit._values.nodes import NodeReport
from knit._values.queues import QueueReport
from knit._values.reports import ApplicationReport
from knit._values.states import YarnState
from knit.exceptions import (
    ApplicationNotFoundError,
    ClusterError,
    ClusterResponseError,
    ClusterTimeoutError,
    StandbyError,
    SubmissionError,
    WaitTimeoutError,
    WrongPortError,
)

_API = "/ws/v1/cluster"
_JSON = {"Content-Type": "application/json"}
#: How long the scheduler's word is waited for after the RM's own: with Kerberos the RM renews
#: tokens in between, which took 2.6 s once.
_ACCEPT_PATIENCE = timedelta(seconds=15)
_NOT_ACCEPTED_YET = (YarnState.NEW, YarnState.NEW_SAVING, YarnState.SUBMITTED)


class ResourceManager:
    """
    The RM, or an HA pair of them. Threads may share it.

    Args:
        http: The connections.
        base_urls: Where it may answer.
        timeout: For each call that is given no deadline of its own.
    """

    def __init__(
        self,
        http: HttpClient,
        base_urls: Iterable[str],
        *,
        timeout: timedelta = timedelta(seconds=30),
    ) -> None:
        self.daemon = DaemonClient(http, RESOURCE_MANAGER, tuple(base_urls))
        self.timeout = timeout

    def deadline(self, timeout: timedelta | None) -> Deadline:
        """When a call is to be over that is given this timeout, or none."""
        return Deadline.of(timeout, default=self.timeout)

    def cluster_info(self, *, timeout: timedelta | None = None) -> ClusterInfo:
        """
        What the active RM says of itself.

        Its `ws/v1/cluster/info` is answered on standby too, so a second address that says ACTIVE
        is preferred to a first one that says STANDBY.
        """
        what = "Asking the ResourceManager who it is"
        deadline = self.deadline(timeout)
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

    def requested_user(self, *, timeout: timedelta | None = None) -> str | None:
        """Who we are, as the RM has it; None where it does not say. Hadoop 3.4 and later."""
        data = self.daemon.get_json(
            f"{_API}/userinfo", what="Asking who we are", deadline=self.deadline(timeout)
        )
        found = data.get("requestedUser")
        return found if isinstance(found, str) and found else None

    def metrics(self, *, timeout: timedelta | None = None) -> ClusterMetrics:
        """Sums over all nodes."""
        data = self.daemon.get_json(
            f"{_API}/metrics",
            what="Asking for the cluster's metrics",
            deadline=self.deadline(timeout),
        )
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

    def nodes(self, *, timeout: timedelta | None = None) -> list[NodeReport]:
        """All nodes, the lost ones included, by their ID."""
        data = self.daemon.get_json(
            f"{_API}/nodes", what="Asking for the cluster's nodes", deadline=self.deadline(timeout)
        )
        nodes = map(node_report, objects_in(object_in(data, "nodes"), "node"))
        return sorted(nodes, key=lambda node: node.node_id)

    def queues(self, *, timeout: timedelta | None = None) -> list[QueueReport]:
        """The scheduler's queues, parents before their children; empty if it has none to show."""
        data = self.daemon.get_json(
            f"{_API}/scheduler", what="Asking for the queues", deadline=self.deadline(timeout)
        )
        return queues_of(object_in(object_in(data, "scheduler"), "schedulerInfo"))

    def node_labels(self, *, timeout: timedelta | None = None) -> list[str]:
        """The node labels of the cluster; none where it has that switched off."""
        data = self.daemon.get_json(
            f"{_API}/get-node-labels",
            what="Asking for the node labels",
            deadline=self.deadline(timeout),
        )
        # Hadoop 2 has names, Hadoop 3 objects; where there is none, nothing.
        labels: Any = data.get("nodeLabelInfo") or data.get("nodeLabels") or []
        if isinstance(labels, (str, Mapping)):
            labels = [labels]
        names = (label.get("name") if isinstance(label, Mapping) else label for label in labels)
        return [str(name) for name in names if name]

    def new_application(self, *, timeout: timedelta | None = None) -> NewApplication:
        """An identifier for one application. Nothing comes of one that is not used."""
        what = "Asking for an application ID"
        response = self.daemon.request(
            "POST",
            f"{_API}/apps/new-application",
            what=what,
            deadline=self.deadline(timeout),
            headers=_JSON,
            repeatable=True,
        )
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

    def submit(
        self, submission: Mapping[str, Any], *, timeout: timedelta | None = None
    ) -> ApplicationReport:
        """
        Hands in an application under the ID it names.

        Returns once the scheduler has accepted it, which comes some milliseconds after the RM's
        own answer; a closed queue or too many applications are told only there. YARN takes a
        second submission with the same ID for the first, so it is repeated after a broken
        connection.

        Returns:
            Its first report; ACCEPTED or further, unless the scheduler takes its time.

        Raises:
            SubmissionError: The RM or the scheduler refused it.
        """
        application_id = str(submission.get("application-id"))
        what = f"Submitting {application_id}"
        try:
            self.daemon.request(
                "POST",
                f"{_API}/apps",
                what=what,
                deadline=self.deadline(timeout),
                body=json.dumps(submission).encode(),
                headers=_JSON,
                repeatable=True,
            )
        except (ClusterResponseError, WrongPortError) as error:
            if error.status is None:
                raise
            raise SubmissionError(error.message, url=error.url, status=error.status) from error
        deadline = self.deadline(timeout).at_most(_ACCEPT_PATIENCE)
        for pause in pauses(0.01, 0.5):
            report = self.application(application_id, timeout=timeout)
            if report.state not in _NOT_ACCEPTED_YET or deadline.remaining_seconds < pause:
                break
            time.sleep(pause)
        if report.state is YarnState.FAILED and report.attempt_number is None:
            said = report.diagnostics.strip() or "without a reason"
            raise SubmissionError(
                f"{what}: the scheduler refused it ({said}). Correct what it complains about, or "
                "ask the cluster's administrators.",
                url=self.daemon.active_url,
            )
        return report

    def application(
        self, application_id: str, *, timeout: timedelta | None = None
    ) -> ApplicationReport:
        """
        The report on one application.

        Raises:
            ApplicationNotFoundError: The RM does not know it, or has forgotten it.
        """
        what = f"Asking for {application_id}"
        data = self._of_application(application_id, "", what, self.deadline(timeout))
        report = application_report(object_in(data, "app"))
        if report.application_id != application_id:
            raise ClusterResponseError(
                f"{what}: {self.daemon.active_url} answered with {report.application_id or 'none'} "
                f"where {application_id} was asked for. Is there a proxy in between?",
                url=self.daemon.active_url,
            )
        return report

    def _of_application(
        self, application_id: str, path: str, what: str, deadline: Deadline
    ) -> dict[str, Any]:
        """
        What the RM says of one application.

        A 404 means something only if the RM had loaded its applications before it was asked.

        Raises:
            ApplicationNotFoundError: The RM does not know it.
            StandbyError: The RM has not finished starting in time.
        """
        certain = False
        with unknown_told(what):
            while True:
                try:
                    return self.daemon.get_json(
                        f"{_API}/apps/{application_id}{path}", what=what, deadline=deadline
                    )
                except ClusterError as error:
                    if not _is_unknown(error) or certain:
                        raise
                self._await_active(what, deadline)
                certain = True

    def _await_active(self, what: str, deadline: Deadline) -> None:
        """Waits until the RM has loaded its applications."""
        for pause in pauses(0.2, 2.0):
            info = self.cluster_info(timeout=deadline.remaining)
            if info.is_active:
                return
            if deadline.remaining_seconds < pause:
                raise StandbyError(
                    f"{what}: the ResourceManager at {info.url} is still starting, and does not "
                    "know its applications yet. Try again in a moment.",
                    url=info.url,
                )
            time.sleep(pause)

    def applications(
        self,
        wanted: ApplicationFilter,
        *,
        limit: int | None = None,
        timeout: timedelta | None = None,
    ) -> list[ApplicationReport]:
        """Applications that fit the filter, the latest first; the latest so many of them."""
        if wanted.is_empty:
            return []
        data = self.daemon.get_json(
            f"{_API}/apps",
            what="Asking for the applications",
            deadline=self.deadline(timeout),
            query=wanted.query(),
        )
        found = map(application_report, objects_in(object_in(data, "apps"), "app"))
        reports = [report for report in found if wanted.fits(report)]
        reports.sort(key=lambda report: numbers_of(report.application_id), reverse=True)
        return reports[:limit]

    def attempts(
        self, application_id: str, *, timeout: timedelta | None = None
    ) -> list[dict[str, Any]]:
        """The starts of its Application Master, as the RM sends them."""
        what = f"Asking for the attempts of {application_id}"
        data = self._of_application(application_id, "/appattempts", what, self.deadline(timeout))
        return objects_in(object_in(data, "appAttempts"), "appAttempt")

    def configured(self, name: str, *, timeout: timedelta | None = None) -> str | None:
        """The value that a property of the RM's own configuration has; None if it has none."""
        what = f"Asking the ResourceManager for {name}"
        try:
            data = self.daemon.get_json(
                "/conf",
                what=what,
                deadline=self.deadline(timeout),
                query={"name": name, "format": "json"},
            )
        except ClusterError as error:
            if error.status == 404:
                return None
            raise
        value = object_in(data, "property").get("value")
        return str(value) if value is not None else None

    def kill(self, application_id: str, *, timeout: timedelta | None = None) -> ApplicationReport:
        """
        Ends an application from outside, and waits until YARN says that it has ended.

        One that has ended already stays as it is. Calling it again is safe.

        Raises:
            ApplicationNotFoundError: The RM does not know it.
            AccessDeniedError: It belongs to somebody else.
            WaitTimeoutError: It has not ended in time; the RM will go on trying.
        """
        what = f"Killing {application_id}"
        deadline = self.deadline(timeout)
        # Asked for first, since only that answer tells a starting RM from one that does not know.
        report = self.application(application_id, timeout=deadline.remaining)
        with unknown_told(what):
            self.daemon.request(
                "PUT",
                f"{_API}/apps/{application_id}/state",
                what=what,
                deadline=deadline,
                body=json.dumps({"state": "KILLED"}).encode(),
                headers=_JSON,
                repeatable=True,
            )
        for pause in pauses(0.1, 1.0):
            if not deadline.is_over:
                with contextlib.suppress(ClusterTimeoutError):
                    report = self.application(application_id, timeout=deadline.remaining)
            if report.state.is_final:
                break
            if deadline.remaining_seconds < pause:
                raise WaitTimeoutError(
                    f"{what}: YARN accepted it, but after {deadline.total.total_seconds():.3g} s "
                    f"the application is still {report.state.value}. Look again in a moment: "
                    f"knit status {application_id}"
                )
            time.sleep(pause)
        return report


@contextmanager
def unknown_told(what: str) -> Iterator[None]:
    """Turns the RM's 404 for an application into our error."""
    try:
        yield
    except ClusterError as error:
        if not _is_unknown(error):
            raise
        raise ApplicationNotFoundError(
            f"{what}: the ResourceManager does not know this application. Check the ID; "
            "YARN forgets applications some time after they have ended. Known ones: knit list"
        ) from error


def _is_unknown(error: ClusterError) -> bool:
    # 400 is for what does not even look like an ID.
    return error.status in (400, 404) and not isinstance(error, WrongPortError)
