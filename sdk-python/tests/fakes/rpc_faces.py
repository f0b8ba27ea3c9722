"""What the fake ResourceManager and NameNode answer by RPC: what they answer by REST."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from typing import Any

from knit._cluster.hdfs import rpc_messages as hdfs
from knit._cluster.security.tokens import Token
from knit._cluster.yarn import rpc_messages as yarn
from tests.fakes.hdfs import FakeNameNode
from tests.fakes.rpc import FakeRpcServer, JavaError, RpcCall
from tests.fakes.server import Answer, FakeServer, Request
from tests.fakes.yarn import FakeResourceManager

_STATES = {None: 2, "STOPPED": 1, "RUNNING": 2, "DRAINING": 3}


class _Face:
    """Asks the REST of a fake, and turns its refusals into exceptions."""

    def __init__(self, fake: FakeServer) -> None:
        self._fake = fake

    def __call__(self, call: RpcCall) -> Any:
        found = getattr(self, f"_{call.method}")(call)
        name = call.method[0].upper() + call.method[1:]
        schema = hdfs.MESSAGES if isinstance(self, NameNodeFace) else yarn.MESSAGES
        return schema.new(f"{name}Response", **found)

    def _ask(
        self, call: RpcCall, method: str, path: str, query: dict[str, str], body: Any = None
    ) -> dict[str, Any]:
        data = b"" if body is None else json.dumps(body).encode()
        request = Request(method, path, {**query, "user.name": call.user}, {}, data)
        answer = self._fake.answers_with(request) if self._fake.answers_with else None
        if answer is None:
            answer = self._fake.answer(request)
        if answer.status >= 300 and answer.status != 307:  # a place for data is no refusal
            raise self._error(answer)
        return json.loads(answer.body) if answer.body else {}

    def _error(self, answer: Answer) -> JavaError:
        if not answer.body.startswith(b"{"):
            return JavaError(f"{_YARN}YarnException", answer.body.decode())
        remote = json.loads(answer.body)["RemoteException"]
        return JavaError(_NAMES.get(remote["exception"], remote["exception"]), remote["message"])


_YARN = "org.apache.hadoop.yarn.exceptions."
_NAMES = {
    "NotFoundException": f"{_YARN}ApplicationNotFoundException",
    "ForbiddenException": "org.apache.hadoop.security.AccessControlException",
    "UndeclaredThrowableException": f"{_YARN}YarnException",
    "AccessControlException": "org.apache.hadoop.security.AccessControlException",
    "StandbyException": "org.apache.hadoop.ipc.StandbyException",
    "FileNotFoundException": "java.io.FileNotFoundException",
}


class ResourceManagerFace(_Face):
    """ApplicationClientProtocol."""

    _fake: FakeResourceManager

    def _rest(self, call: RpcCall, method: str, path: str, body: Any = None, **query: str) -> Any:
        return self._ask(call, method, f"/ws/v1/cluster{path}", query, body)

    def _of(self, call: RpcCall, method: str, path: str, body: Any = None) -> Any:
        application = call.request.application_id
        name = f"application_{application.cluster_timestamp}_{application.id:04}"
        return self._rest(call, method, f"/apps/{name}{path}", body)

    def _getClusterMetrics(self, call: RpcCall) -> Any:  # noqa: N802
        found = self._rest(call, "GET", "/metrics")["clusterMetrics"]
        return {"metrics": yarn.MESSAGES.new("ClusterMetrics", active=found["activeNodes"])}

    def _getClusterNodes(self, call: RpcCall) -> Any:  # noqa: N802
        nodes = []
        for node in self._rest(call, "GET", "/nodes")["nodes"]["node"]:
            host, port = node["id"].split(":")
            nodes.append(
                yarn.MESSAGES.new(
                    "NodeReport",
                    id=yarn.MESSAGES.new("NodeId", host=host, port=int(port)),
                    http_address=node["nodeHTTPAddress"],
                    rack=node["rack"],
                    used=_resource(0, 0),
                    capability=_resource(node["availMemoryMB"], node["availableVirtualCores"]),
                    state=yarn.number_of(node["state"], yarn.NODE_STATES),
                    health_report=node["healthReport"],
                    labels=node["nodeLabels"],
                )
            )
        return {"nodes": nodes}

    def _getQueueInfo(self, call: RpcCall) -> Any:  # noqa: N802
        assert call.request.recursive
        found = self._rest(call, "GET", "/scheduler")["scheduler"]["schedulerInfo"]
        return {"queue": _queue(found)}

    def _getClusterNodeLabels(self, call: RpcCall) -> Any:  # noqa: N802
        return {"labels": [yarn.MESSAGES.new("NodeLabel", name=n) for n in self._fake.node_labels]}

    def _getNewApplication(self, call: RpcCall) -> Any:  # noqa: N802
        taken, self._fake.takes_submissions = self._fake.takes_submissions, True
        try:
            found = self._rest(call, "POST", "/apps/new-application")
        finally:
            self._fake.takes_submissions = taken
        maximum = found["maximum-resource-capability"]
        return {
            "application_id": _id(found["application-id"]),
            "maximum": _resource(maximum["memory"], maximum["vCores"]),
        }

    def _submitApplication(self, call: RpcCall) -> Any:  # noqa: N802
        context = call.request.context
        given = context.application_id
        self._rest(
            call,
            "POST",
            "/apps",
            {
                "application-id": f"application_{given.cluster_timestamp}_{given.id:04}",
                "application-name": context.name,
                "application-type": context.type,
                "queue": context.queue,
                "application-tags": {"tag": list(context.tags)},
                "resource": {"memory": context.resource.memory, "vCores": context.resource.vcores},
            },
        )
        return {}

    def _getApplicationReport(self, call: RpcCall) -> Any:  # noqa: N802
        return {"report": _report(self._of(call, "GET", "")["app"])}

    def _getApplicationAttempts(self, call: RpcCall) -> Any:  # noqa: N802
        found = self._of(call, "GET", "/appattempts")["appAttempts"]["appAttempt"]
        return {"attempts": [yarn.MESSAGES.new("AttemptReport") for _ in found]}

    def _getApplications(self, call: RpcCall) -> Any:  # noqa: N802
        request = call.request
        query = {
            "states": ",".join(yarn.APPLICATION_STATES[number - 1] for number in request.states),
            "applicationTypes": ",".join(request.types),
            "applicationTags": ",".join(request.tags),
        }
        if request.users:
            query["user"] = request.users[0]
        found = self._rest(call, "GET", "/apps", **{k: v for k, v in query.items() if v})
        apps = (found["apps"] or {}).get("app", [])
        return {"applications": [_report(app) for app in apps]}

    def _forceKillApplication(self, call: RpcCall) -> Any:  # noqa: N802
        self._of(call, "PUT", "/state", {"state": "KILLED"})
        return {"is_completed": False}

    def _moveApplicationAcrossQueues(self, call: RpcCall) -> Any:  # noqa: N802
        self._of(call, "PUT", "/queue", {"queue": call.request.queue})
        return {}

    def _updateApplicationPriority(self, call: RpcCall) -> Any:  # noqa: N802
        wanted = call.request.priority.priority
        made = self._of(call, "PUT", "/priority", {"priority": wanted})["priority"]
        return {"priority": yarn.MESSAGES.new("Priority", priority=made)}

    def _updateApplicationTimeouts(self, call: RpcCall) -> Any:  # noqa: N802
        [told] = call.request.timeouts
        body = {"timeout": {"type": "LIFETIME", "expiryTime": told.expire_time}}
        self._of(call, "PUT", "/timeout", body)
        return {}


def _resource(memory: int, vcores: int) -> Any:
    return yarn.MESSAGES.new("Resource", memory=memory, vcores=vcores)


def _id(text: str) -> Any:
    _, timestamp, number = text.split("_")
    return yarn.MESSAGES.new("ApplicationId", id=int(number), cluster_timestamp=int(timestamp))


def _queue(found: dict[str, Any]) -> Any:
    children = found.get("queues", {}).get("queue", [])
    return yarn.MESSAGES.new(
        "QueueInfo",
        name=found["queueName"],
        path=found["queuePath"],
        state=_STATES[found.get("state")],
        children=[_queue(child) for child in children],
        node_labels=found["nodeLabels"],
        scheduler="CapacityScheduler",
    )


def _report(app: dict[str, Any]) -> Any:
    return yarn.MESSAGES.new(
        "ApplicationReport",
        application_id=_id(app["id"]),
        user=app.get("user"),
        queue=app.get("queue"),
        name=app.get("name"),
        type=app.get("applicationType"),
        state=yarn.number_of(app["state"], yarn.APPLICATION_STATES),
        final_status=yarn.FINAL_STATUSES.index(app.get("finalStatus", "UNDEFINED")),
        diagnostics=app.get("diagnostics"),
        start_time=app.get("startedTime"),
        finish_time=app.get("finishedTime"),
        tags=[tag for tag in app.get("applicationTags", "").split(",") if tag],
        tracking_url=app.get("trackingUrl"),
        host="N/A",
        rpc_port=-1,
    )


class NameNodeFace(_Face):
    """ClientProtocol."""

    _fake: FakeNameNode

    def __init__(self, fake: FakeNameNode) -> None:
        super().__init__(fake)
        self._ids = itertools.count(1)

    def _op(self, call: RpcCall, method: str, op: str, **query: str) -> dict[str, Any]:
        path = call.request.src
        return self._ask(call, method, f"/webhdfs/v1{path}", {"op": op, **query})

    def _getFileInfo(self, call: RpcCall) -> Any:  # noqa: N802
        try:
            return {"status": _status(self._op(call, "GET", "GETFILESTATUS")["FileStatus"])}
        except JavaError as error:
            if "FileNotFound" not in error.exception:
                raise
            return {}

    def _getListing(self, call: RpcCall) -> Any:  # noqa: N802
        try:
            found = self._op(call, "GET", "LISTSTATUS")["FileStatuses"]["FileStatus"]
        except JavaError as error:
            if "FileNotFound" not in error.exception:
                raise
            return {}
        entries = sorted((_status(entry) for entry in found), key=lambda entry: entry.path)
        later = [entry for entry in entries if entry.path > call.request.start_after]
        if not call.request.start_after:
            later = entries
        # Two at a time, for a real one has a thousand.
        return {
            "listing": hdfs.MESSAGES.new("Listing", entries=later[:2], remaining=len(later[2:]))
        }

    def _mkdirs(self, call: RpcCall) -> Any:
        permission = f"{call.request.masked.perm:o}"
        return {"result": self._op(call, "PUT", "MKDIRS", permission=permission)["boolean"]}

    def _rename(self, call: RpcCall) -> Any:
        to = call.request.dst
        return {"result": self._op(call, "PUT", "RENAME", destination=to)["boolean"]}

    def _delete(self, call: RpcCall) -> Any:
        return {"result": self._op(call, "DELETE", "DELETE")["boolean"]}

    def _setTimes(self, call: RpcCall) -> Any:  # noqa: N802
        def told(number: int) -> str:
            return "-1" if number == hdfs.UNSET else str(number)

        request = call.request
        times = {"accesstime": told(request.atime), "modificationtime": told(request.mtime)}
        self._op(call, "PUT", "SETTIMES", **times)
        return {}

    def _setPermission(self, call: RpcCall) -> Any:  # noqa: N802
        permission = f"{call.request.permission.perm:o}"
        self._op(call, "PUT", "SETPERMISSION", permission=permission)
        return {}

    def _getContentSummary(self, call: RpcCall) -> Any:  # noqa: N802
        found = self._op(call, "GET", "GETCONTENTSUMMARY")["ContentSummary"]
        return {
            "summary": hdfs.MESSAGES.new(
                "ContentSummary",
                length=found["length"],
                files=found["fileCount"],
                directories=found["directoryCount"],
                quota=hdfs.UNSET,
                space_consumed=found["spaceConsumed"],
                space_quota=hdfs.UNSET,
            )
        }

    def _checkAccess(self, call: RpcCall) -> Any:  # noqa: N802
        self._op(call, "GET", "CHECKACCESS")
        return {}

    def _getServerDefaults(self, call: RpcCall) -> Any:  # noqa: N802
        defaults = hdfs.MESSAGES.new("ServerDefaults", block_bytes=1 << 27, replication=1)
        return {"defaults": defaults}

    def _getDelegationToken(self, call: RpcCall) -> Any:  # noqa: N802
        assert self._fake.tokens is not None
        token = self._fake.tokens.issue(call.user, call.request.renewer)
        told = hdfs.MESSAGES.new(
            "Token",
            identifier=token.identifier,
            password=token.password,
            kind=token.kind,
            service=token.service,
        )
        return {"token": told}

    def _cancelDelegationToken(self, call: RpcCall) -> Any:  # noqa: N802
        told = call.request.token
        token = Token(told.identifier, told.password, told.kind, told.service)
        if self._fake.tokens is None or not self._fake.tokens.cancel(token.url_string()):
            name = "org.apache.hadoop.security.token.SecretManager$InvalidToken"
            raise JavaError(name, "Token not found")
        return {}

    def _create(self, call: RpcCall) -> Any:
        request = call.request
        if not self._fake.files.may(call.user, request.src):
            self._op(call, "PUT", "CREATE")  # which says so
        files = self._fake.files
        if request.src in files.entries and not request.flags & hdfs.OVERWRITE:
            name = "org.apache.hadoop.fs.FileAlreadyExistsException"
            raise JavaError(name, f"{request.src} already exists")
        files.write(request.src, call.user, b"", f"{request.masked.perm:o}")
        return {"file": hdfs.MESSAGES.new("CreatedFile", id=next(self._ids))}

    def _addBlock(self, call: RpcCall) -> Any:  # noqa: N802
        if not self._fake.knows_data_nodes:
            raise JavaError(
                "java.io.IOException",
                f"File {call.request.src} could only be written to 0 of the 1 minReplication "
                "nodes. There are 0 datanode(s) running and 0 node(s) are excluded in this "
                "operation.\n\tat org.apache.hadoop.hdfs.server.blockmanagement.BlockManager",
            )
        left_out = [node.id for node in call.request.excluded]
        named = [place for place in self._places() if place.id not in left_out]
        if not named:
            running = len(self._fake.data_nodes)
            raise JavaError(
                "java.io.IOException",
                f"File {call.request.src} could only be written to 0 of the 1 minReplication "
                f"nodes. There are {running} datanode(s) running and {len(left_out)} node(s) are "
                "excluded in this operation.",
            )
        return {"block": self._block(named[:1])}

    def _abandonBlock(self, call: RpcCall) -> Any:  # noqa: N802
        assert call.request.block.id == 7
        return {}

    def _complete(self, call: RpcCall) -> Any:
        return {"result": True}

    def _getBlockLocations(self, call: RpcCall) -> Any:  # noqa: N802
        entry = self._fake.files.entries.get(call.request.src)
        if entry is None:
            raise JavaError("java.io.FileNotFoundException", f"no {call.request.src}")
        blocks = [self._block(self._places())] if entry.data else []
        length = len(entry.data or b"")
        return {"blocks": hdfs.MESSAGES.new("Blocks", length=length, blocks=blocks)}

    def _places(self) -> list[Any]:
        return [
            hdfs.MESSAGES.new(
                "DataNode",
                id=hdfs.MESSAGES.new("DataNodeId", host=host, http_port=int(port)),
            )
            for host, _, port in (each.rpartition(":") for each in self._fake.data_nodes)
        ]

    def _block(self, places: Sequence[Any]) -> Any:
        return hdfs.MESSAGES.new(
            "Block",
            id=hdfs.MESSAGES.new("BlockId", pool="p", id=7, generation=1),
            places=places,
        )


def _status(found: dict[str, Any]) -> Any:
    return hdfs.MESSAGES.new(
        "FileStatus",
        type=hdfs.IS_DIRECTORY if found["type"] == "DIRECTORY" else 2,
        path=found["pathSuffix"].encode(),
        length=found["length"],
        permission=hdfs.MESSAGES.new("Permission", perm=int(found["permission"], 8)),
        owner=found["owner"],
        group=found["group"],
        modify_time=found["modificationTime"],
        access_time=found["accessTime"],
    )


def rpc_servers(manager: FakeResourceManager, name_node: FakeNameNode) -> list[FakeRpcServer]:
    """The RPC ports of a fake cluster: the ResourceManager's and the NameNode's."""
    return [
        FakeRpcServer(yarn.PROTOCOL, ResourceManagerFace(manager)),
        FakeRpcServer(hdfs.PROTOCOL, NameNodeFace(name_node)),
    ]
