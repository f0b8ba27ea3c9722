"""A ResourceManager's REST API, as far as knit can tell it from Hadoop's."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from typing import Any

from tests.fakes.server import Answer, FakeServer, Request, now_ms
from tests.fakes.tokens import Issuer

WELL_DATED_FOREVER = 1_700_000_000_000


@dataclass
class FakeNode:
    """A NodeManager, as the RM lists it."""

    node_id: str
    memory_mib: int = 8192
    vcores: int = 8
    state: str = "RUNNING"
    health_report: str = ""
    labels: tuple[str, ...] = ()


@dataclass
class FakeQueue:
    """A queue of the CapacityScheduler."""

    path: str
    state: str = "RUNNING"
    leaf: bool = True
    maximum_mib: int = 8192
    maximum_vcores: int = 4
    capacity_mib: int = 12288
    capacity_vcores: int = 16
    makes_others: bool = False
    node_labels: tuple[str, ...] = ("*",)
    maximum_lifetime: int = -1
    """In seconds; -1 for no end."""


class FakeResourceManager(FakeServer):
    """The RM's REST API on its web port."""

    def __init__(self, port: int = 0) -> None:
        self.version = "3.4.2"
        self.standby = False
        self.starting = False
        """Whether it answers, but is not active yet."""
        self.started_ms = WELL_DATED_FOREVER
        self.active_url: str | None = None
        """Where a standby RM sends its clients; None if it knows of no active one."""
        self.nodes = [FakeNode("node-1:45454"), FakeNode("node-2:45454", memory_mib=4096)]
        self.queues = [
            FakeQueue("root", leaf=False),
            FakeQueue("root.default"),
            FakeQueue("root.closed", state="STOPPED"),
            FakeQueue("root.team", leaf=False),
            FakeQueue("root.team.small", maximum_mib=1024),
        ]
        self.maximum_mib = 8192
        self.maximum_vcores = 4
        self.applications: dict[str, dict[str, Any]] = {}
        self.submissions: dict[str, dict[str, Any]] = {}
        self.refusal: Answer | None = None
        """What a submission gets, in place of being accepted."""
        self.refused_queues = {"closed", "root.closed"}
        """Where the RM accepts an application and the scheduler then does not."""
        self.stays_after_kill = False
        self.takes_submissions = True
        """False where yarn.webapp.enable-rest-app-submissions is."""
        self.places_anywhere = False
        """Whether the scheduler takes what asks for a queue that is not there."""
        self.attempts: dict[str, list[dict[str, Any]]] = {}
        """The starts of Application Masters, by application."""
        self.scheduler: dict[str, Any] | None = None
        """What it answers to a question for its queues, in place of `queues`."""
        self.node_list: dict[str, Any] | None = None
        """What it answers to a question for its nodes, in place of `nodes`."""
        self.highest_priority: int | None = 10
        """yarn.cluster.max-application-priority; None where the scheduler has no priorities."""
        self.refusal_status = 503
        """Of a change that the scheduler refuses; before Hadoop 3.4 it was 500."""
        self.full_queues: set[str] = set()
        """Where the scheduler moves nothing to, though they are open."""
        self.maximum_others: dict[str, int] = {}
        """What of named resources one container may have."""
        self.node_labels: list[str] = []
        self.lifetimes: dict[str, str] = {}
        """When YARN ends an application, by its ID, as it was told."""
        self.takes_lifetimes_after = 0
        """How many requests for one it refuses, because the scheduler has not accepted it yet."""
        self.configuration: dict[str, str] = {}
        """What its own configuration says."""
        self.tokens: Issuer | None = None
        """Who issues its delegation tokens; None without Kerberos."""
        self._lock = threading.RLock()
        super().__init__(port)

    def answer(self, request: Request) -> Answer:
        if request.path == "/jmx":
            name = "Hadoop:service=ResourceManager,name=JvmMetrics"
            return Answer.json({"beans": [{"name": name}]})
        if request.path == "/conf":
            return self._configured(request.query.get("name", ""))
        path = request.path.removeprefix("/ws/v1/cluster")
        if request.path == path:
            return Answer.html(404, "Error 404 Not Found")
        if self.standby and path != "/info":
            return self._standby(request)
        with self._lock:
            match [part for part in path.split("/") if part]:
                case ["info"]:
                    return Answer.json({"clusterInfo": self._info()})
                case ["metrics"]:
                    return Answer.json({"clusterMetrics": self._metrics()})
                case ["nodes"]:
                    listed = {"nodes": {"node": [_node(node) for node in self.nodes]}}
                    return Answer.json(self.node_list or listed)
                case ["scheduler"]:
                    found = self.scheduler or {"schedulerInfo": self._queue("root")}
                    return Answer.json({"scheduler": found})
                case ["get-node-labels"]:
                    labels = [{"name": name, "exclusivity": True} for name in self.node_labels]
                    # As Hadoop 3.4 does: nothing where there is none.
                    return Answer.json({"nodeLabelInfo": labels} if labels else {})
                case ["delegation-token"]:
                    return self._delegation_token(request)
                case ["apps", "new-application"]:
                    return self._new_application()
                case ["apps"]:
                    return (
                        self._submit(request) if request.method == "POST" else self._list(request)
                    )
                case ["apps", application_id, *rest]:
                    return self._application(request, application_id, rest)
        return Answer.html(404, "Error 404 Not Found")

    def _delegation_token(self, request: Request) -> Answer:
        user = request.query.get("user.name")
        if self.tokens is None or user is None:
            return Answer.error(403, "ForbiddenException", "not a Kerberos authenticated channel")
        token = self.tokens.issue(user, json.loads(request.body)["renewer"])
        return Answer.json({"token": token.url_string(), "owner": user, "kind": token.kind})

    def _configured(self, name: str) -> Answer:
        if name not in self.configuration:
            return Answer.html(404, f"Error 404 Property {name} not found")
        return Answer.json({"property": {"key": name, "value": self.configuration[name]}})

    def _standby(self, request: Request) -> Answer:
        if self.active_url is None:
            return Answer(
                200,
                b"Can not find any active RM. Will retry in next 3 seconds.",
                {"Refresh": f"3;url={self.url}{request.path}", "Content-Type": "text/plain"},
            )
        location = self.active_url + request.path
        return Answer(
            307,
            f"This is standby RM. The redirect url is: {location}".encode(),
            {"Location": location, "Content-Type": "text/plain"},
        )

    def _info(self) -> dict[str, Any]:
        return {
            "state": "STARTED",
            "haState": "STANDBY" if self.standby else "INITIALIZING" if self.starting else "ACTIVE",
            "startedOn": self.started_ms,
            "hadoopVersion": self.version,
        }

    def _metrics(self) -> dict[str, Any]:
        running = [node for node in self.nodes if node.state == "RUNNING"]
        return {
            "activeNodes": len(running),
            "totalMB": sum(node.memory_mib for node in running),
            "totalVirtualCores": sum(node.vcores for node in running),
        }

    def _queue(self, path: str) -> dict[str, Any]:
        queue = next(queue for queue in self.queues if queue.path == path)
        found: dict[str, Any] = {
            "type": "capacitySchedulerLeafQueueInfo" if queue.leaf else "capacityScheduler",
            "queueName": path.rpartition(".")[2],
            "queuePath": path,
            "state": queue.state,
            "nodeLabels": list(queue.node_labels),
            "maxApplicationLifetime": queue.maximum_lifetime,
            "maximumAllocation": {"memory": queue.maximum_mib, "vCores": queue.maximum_vcores},
            "maxEffectiveCapacity": {
                "memory": queue.capacity_mib,
                "vCores": queue.capacity_vcores,
            },
            "autoCreationEligibility": "flexible" if queue.makes_others else "off",
        }
        if not queue.leaf:
            children = [q.path for q in self.queues if q.path.rpartition(".")[0] == path]
            found["queues"] = {"queue": [self._queue(child) for child in children]}
        return found

    def _new_application(self) -> Answer:
        if not self.takes_submissions:
            return Answer(403, b"App submission via REST is disabled.")
        number = len(self.applications) + 1
        application_id = f"application_{WELL_DATED_FOREVER}_{number:04}"
        self.applications[application_id] = {"id": application_id, "state": "NEW"}
        return Answer.json(
            {
                "application-id": application_id,
                "maximum-resource-capability": {
                    "memory": self.maximum_mib,
                    "vCores": self.maximum_vcores,
                    "resourceInformations": {
                        "resourceInformation": [
                            {"name": name, "value": value, "resourceType": "COUNTABLE"}
                            for name, value in [
                                ("memory-mb", self.maximum_mib),
                                ("vcores", self.maximum_vcores),
                                *self.maximum_others.items(),
                            ]
                        ]
                    },
                },
            }
        )

    def _submit(self, request: Request) -> Answer:
        if self.refusal is not None:
            return self.refusal
        submission = json.loads(request.body)
        application_id = submission["application-id"]
        if application_id not in self.submissions:
            self.submissions[application_id] = submission
            self.applications[application_id] = {
                "id": application_id,
                "user": request.user,
                "name": submission["application-name"],
                "queue": submission["queue"],
                "applicationType": submission["application-type"],
                "applicationTags": ",".join(submission.get("application-tags", {}).get("tag", [])),
                "state": "ACCEPTED",
                "finalStatus": "UNDEFINED",
                "progress": 0.0,
                "startedTime": now_ms(),
                "finishedTime": 0,
                "amRPCAddress": "N/A:-1",
                "diagnostics": "",
            }
            known = {name for q in self.queues for name in (q.path, q.path.rpartition(".")[2])}
            unknown = submission["queue"] not in known and not self.places_anywhere
            if submission["queue"] in self.refused_queues or unknown:
                self.applications[application_id].update(
                    state="FAILED",
                    finalStatus="FAILED",
                    finishedTime=now_ms(),
                    diagnostics=f"{application_id} submitted to unknown or stopped queue: "
                    f"{submission['queue']}",
                )
        return Answer(202, b"", {"Location": f"{self.url}/ws/v1/cluster/apps/{application_id}"})

    def _list(self, request: Request) -> Answer:
        apps = [app for app in self.applications.values() if app["state"] != "NEW"]
        query = request.query
        for parameter, key in (("user", "user"), ("queue", "queue"), ("name", "name")):
            if parameter in query:
                apps = [app for app in apps if app.get(key) == query[parameter]]
        if query.get("states"):
            apps = [app for app in apps if app["state"] in query["states"].split(",")]
        if query.get("applicationTypes"):
            types = query["applicationTypes"].lower().split(",")
            apps = [app for app in apps if app["applicationType"].lower() in types]
        if query.get("applicationTags"):
            wanted = set(query["applicationTags"].lower().split(","))
            apps = [app for app in apps if wanted & set(app.get("applicationTags", "").split(","))]
        for field in ("startedTime", "finishedTime"):
            first = int(query.get(f"{field}Begin", 0))
            last = int(query.get(f"{field}End", 2**63))
            if first < 0 or last < first:
                return Answer.error(400, "BadRequestException", f"{field}End must be greater")
            apps = [app for app in apps if first <= app.get(field, 0) <= last]
        # It takes any, as a hash table has them.
        apps = apps[: int(query.get("limit", len(apps)))]
        # As Hadoop 2 does: an empty list is null.
        return Answer.json({"apps": {"app": apps} if apps else None})

    def _application(self, request: Request, application_id: str, rest: list[str]) -> Answer:
        app = self.applications.get(application_id)
        if app is None:
            return Answer.error(
                404,
                "NotFoundException",
                f"java.lang.Exception: app with id: {application_id} not found",
            )
        if rest == ["state"] and request.method == "PUT":
            if app.get("user") not in (None, request.user):
                return Answer.error(403, "ForbiddenException", "User cannot perform operation")
            if not self.stays_after_kill and app["state"] not in ("FINISHED", "FAILED"):
                app.update(state="KILLED", finalStatus="KILLED", finishedTime=now_ms())
            return Answer.json({"state": app["state"]}, 202)
        if rest == ["timeout"] and request.method == "PUT":
            if self.takes_lifetimes_after > 0:
                self.takes_lifetimes_after -= 1
                return Answer.error(
                    400, "BadRequestException", "Failed to update application timeout."
                )
            told = json.loads(request.body)["timeout"]
            assert told["type"] == "LIFETIME"
            self.lifetimes[application_id] = told["expiryTime"]
            return Answer.json({"timeout": told})
        if rest in (["queue"], ["priority"]) and request.method == "PUT":
            return self._change(request, app, rest[0])
        if rest == ["appattempts"]:
            attempts = self.attempts.get(application_id, [{"id": 1}])
            return Answer.json({"appAttempts": {"appAttempt": attempts}})
        return Answer.json({"app": app})

    def _change(self, request: Request, app: dict[str, Any], what: str) -> Answer:
        """Another queue or priority. Where the scheduler refuses, nothing says why."""
        refused = Answer.error(self.refusal_status, "UndeclaredThrowableException", "")
        if app.get("user") not in (None, request.user):
            return Answer.error(403, "ForbiddenException", "User cannot perform operation")
        value = json.loads(request.body)[what]
        if what == "priority":
            if self.highest_priority is None and value > 0:
                return refused
            made = min(value, self.highest_priority or 0)
            # Of one that has ended it is answered too, and nothing comes of it.
            if app["state"] not in ("FINISHED", "FAILED", "KILLED"):
                app["priority"] = made
            return Answer.json({"priority": made})
        if app["state"] in ("FINISHED", "FAILED", "KILLED", "FINISHING"):
            return Answer(400, f"App in {app['state']} state cannot be moved.".encode())
        found = [q for q in self.queues if value in (q.path, q.path.rpartition(".")[2])]
        if len(found) != 1 or not found[0].leaf or found[0].state != "RUNNING":
            return refused
        if found[0].path in self.full_queues:
            return refused
        app["queue"] = found[0].path
        return Answer.json({"queue": found[0].path})

    def change(self, application_id: str, **fields: Any) -> None:
        """Sets fields of an application, by their names in the REST API."""
        with self._lock:
            self.applications[application_id].update(fields)


def _node(node: FakeNode) -> dict[str, Any]:
    return {
        "id": node.node_id,
        "state": node.state,
        "rack": "/default-rack",
        "nodeHTTPAddress": node.node_id.replace(":45454", ":8042"),
        "usedMemoryMB": 0,
        "availMemoryMB": node.memory_mib,
        "usedVirtualCores": 0,
        "availableVirtualCores": node.vcores,
        "numContainers": 0,
        "healthReport": node.health_report,
        "nodeLabels": list(node.labels),
    }
