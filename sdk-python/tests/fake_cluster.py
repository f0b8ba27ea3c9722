"""
A ResourceManager, a NameNode and a DataNode in this process, over real sockets.

They behave like Hadoop's where knit can tell: redirects, `RemoteException` bodies, standby
answers, an RPC port that answers in its own way. What a test wants to go wrong is a field.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit
from xml.sax.saxutils import escape

from knit._cluster.configuration.config import ClusterConfig

WELL_DATED_FOREVER = 1_700_000_000_000


@dataclass
class Request:
    """What a server was asked."""

    method: str
    path: str
    query: dict[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Answer:
    """What it says."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut_off_after: int | None = None
    """So many bytes of the body are sent, and then the connection breaks."""

    @classmethod
    def json(cls, value: object, status: int = 200) -> Answer:
        return cls(status, json.dumps(value).encode(), {"Content-Type": "application/json"})

    @classmethod
    def error(cls, status: int, exception: str, message: str) -> Answer:
        remote = {"exception": exception, "javaClassName": f"org.{exception}", "message": message}
        return cls.json({"RemoteException": remote}, status)

    @classmethod
    def html(cls, status: int, title: str) -> Answer:
        page = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
        return cls(status, page.encode(), {"Content-Type": "text/html;charset=utf-8"})


class FakeServer:
    """One HTTP server on a port of its own; `answer` says what it does."""

    def __init__(self, port: int = 0) -> None:
        self.requests: list[Request] = []
        self.answers_with: Callable[[Request], Answer | None] | None = None
        """Asked first; None from it means the usual answer."""
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = -1

            def serve(self) -> None:
                parts = urlsplit(self.path)
                query = {
                    name: values[-1]
                    for name, values in parse_qs(parts.query, keep_blank_values=True).items()
                }
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length)
                if len(body) < length:
                    return  # the client gave up, so nothing comes of it
                request = Request(
                    self.command,
                    unquote(parts.path),
                    query,
                    {name.lower(): value for name, value in self.headers.items()},
                    body,
                )
                server.requests.append(request)
                answer = server.answers_with(request) if server.answers_with else None
                if answer is None:
                    answer = server.answer(request)
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body[: answer.cut_off_after])
                self.close_connection = answer.cut_off_after is not None

            do_GET = do_PUT = do_POST = do_DELETE = serve  # noqa: N815

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # a client that hangs up early is none of a test's business

        self._server = Server(("127.0.0.1", port), Handler)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def answer(self, request: Request) -> Answer:
        raise NotImplementedError

    def asked(self, *, op: str | None = None, path: str | None = None) -> list[Request]:
        """What was asked so far, by WebHDFS operation or path."""
        return [
            request
            for request in self.requests
            if (op is None or request.query.get("op") == op)
            and (path is None or request.path == path)
        ]

    def stop(self) -> None:
        if self._thread.is_alive():
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()


class FakeRpcPort:
    """A port of Hadoop's RPC: whatever comes in, it answers as Hadoop does to HTTP."""

    TEXT = (
        b"HTTP/1.1 404 Not Found\r\nContent-type: text/plain\r\n\r\n"
        b"It looks like you are making an HTTP request to a Hadoop IPC port. "
        b"This is not the correct port for the web interface on this daemon.\r\n"
    )

    def __init__(self, text: bytes = TEXT) -> None:
        self._text = text
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                connection.sendall(self._text)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        # shutdown, since close alone does not wake accept.
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def __enter__(self) -> FakeRpcPort:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


@dataclass
class Entry:
    """A file or directory."""

    owner: str
    permission: str
    data: bytes | None = None
    modify_time_ms: int = 0
    access_time_ms: int = 0

    @property
    def is_directory(self) -> bool:
        return self.data is None


class FakeFileSystem:
    """Paths and what is there. Permissions are checked as far as an owner goes."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.entries: dict[str, Entry] = {}
        self.make("/", "hdfs", "755")
        self.make("/user", "hdfs", "755")

    def make(self, path: str, owner: str, permission: str = "755") -> None:
        self.entries[path] = Entry(owner, permission, None, _now(), 0)

    def write(self, path: str, owner: str, data: bytes, permission: str = "644") -> Entry:
        self.make_parents(path, owner)
        self.entries[path] = Entry(owner, permission, data, _now(), _now())
        return self.entries[path]

    def make_parents(self, path: str, owner: str) -> None:
        parent = _parent(path)
        if parent not in self.entries:
            self.make_parents(parent, owner)
            self.make(parent, owner, self.entries[_parent(parent)].permission)

    def below(self, path: str) -> list[str]:
        prefix = path.rstrip("/") + "/"
        return [name for name in self.entries if name.startswith(prefix) and name != path]

    def may(self, user: str, path: str) -> bool:
        """Whether a user may do what they like here: it is theirs, or theirs to make."""
        while path not in self.entries:
            path = _parent(path)
        return self.entries[path].owner == user or self.entries[path].permission[-1] in "267"


class FakeNameNode(FakeServer):
    """WebHDFS on the NameNode's web port."""

    def __init__(self, files: FakeFileSystem, data_node: FakeDataNode) -> None:
        self.files = files
        self.data_node = data_node
        self.standby = False
        self.safe_mode = False
        self.webhdfs = True
        self.knows_noredirect = True
        """False for Hadoop 2, which redirects."""
        self.records_access_times = True
        self.data_node_url: str | None = None
        """Where to send clients instead of to the DataNode."""
        super().__init__()

    def answer(self, request: Request) -> Answer:
        if request.path == "/jmx":
            return Answer.json({"beans": [{"name": "Hadoop:service=NameNode,name=JvmMetrics"}]})
        if not request.path.startswith("/webhdfs/v1") or not self.webhdfs:
            return Answer.html(404, "Error 404 Not Found")
        if self.standby:
            return Answer.error(
                403, "StandbyException", "Operation category READ is not supported in state standby"
            )
        operation = request.query.get("op", "")
        handler = getattr(self, f"_{operation.lower()}", None)
        if handler is None:
            return Answer.error(400, "UnsupportedOperationException", f"op={operation}")
        if self.safe_mode and request.method != "GET":
            return Answer.error(
                403, "SafeModeException", f"Cannot {operation.lower()}. Name node is in safe mode."
            )
        path = "/" + request.path.removeprefix("/webhdfs/v1").strip("/")
        with self.files.lock:
            answer: Answer = handler(request, path, request.query.get("user.name", "dr.who"))
            return answer

    def _missing(self, path: str) -> Answer:
        return Answer.error(404, "FileNotFoundException", f"File does not exist: {path}")

    def _denied(self, path: str, user: str) -> Answer:
        return Answer.error(
            403,
            "AccessControlException",
            f'Permission denied: user={user}, access=WRITE, inode="{path}"',
        )

    def _gethomedirectory(self, request: Request, path: str, user: str) -> Answer:
        return Answer.json({"Path": f"/user/{user}"})

    def _getfilestatus(self, request: Request, path: str, user: str) -> Answer:
        entry = self.files.entries.get(path)
        return (
            self._missing(path)
            if entry is None
            else Answer.json({"FileStatus": _status("", entry)})
        )

    def _liststatus(self, request: Request, path: str, user: str) -> Answer:
        if path not in self.files.entries:
            return self._missing(path)
        if not self.files.entries[path].is_directory:
            found = [_status("", self.files.entries[path])]
        else:
            found = [
                _status(name.rpartition("/")[2], self.files.entries[name])
                for name in self.files.below(path)
                if _parent(name) == path
            ]
        return Answer.json({"FileStatuses": {"FileStatus": found}})

    def _getcontentsummary(self, request: Request, path: str, user: str) -> Answer:
        entries = [self.files.entries[name] for name in [path, *self.files.below(path)]]
        size = sum(len(entry.data or b"") for entry in entries)
        directories = sum(entry.is_directory for entry in entries)
        return Answer.json(
            {
                "ContentSummary": {
                    "length": size,
                    "spaceConsumed": size * 3,
                    "fileCount": len(entries) - directories,
                    "directoryCount": directories,
                    "quota": -1,
                    "spaceQuota": -1,
                }
            }
        )

    def _checkaccess(self, request: Request, path: str, user: str) -> Answer:
        if path not in self.files.entries:
            return self._missing(path)
        return Answer() if self.files.may(user, path) else self._denied(path, user)

    def _mkdirs(self, request: Request, path: str, user: str) -> Answer:
        if path not in self.files.entries:
            if not self.files.may(user, path):
                return self._denied(path, user)
            self.files.make_parents(path, user)
            self.files.make(path, user, request.query.get("permission", "755"))
        return Answer.json({"boolean": True})

    def _rename(self, request: Request, path: str, user: str) -> Answer:
        to = request.query["destination"]
        if path not in self.files.entries or to in self.files.entries:
            return Answer.json({"boolean": False})
        for name in [path, *self.files.below(path)]:
            self.files.entries[to + name.removeprefix(path)] = self.files.entries.pop(name)
        return Answer.json({"boolean": True})

    def _delete(self, request: Request, path: str, user: str) -> Answer:
        if path not in self.files.entries:
            return Answer.json({"boolean": False})
        for name in [path, *self.files.below(path)]:
            del self.files.entries[name]
        return Answer.json({"boolean": True})

    def _settimes(self, request: Request, path: str, user: str) -> Answer:
        access, modify = int(request.query["accesstime"]), int(request.query["modificationtime"])
        if access >= 0 and not self.records_access_times:
            return Answer.error(403, "IOException", "Access time for hdfs is not configured. ")
        if path not in self.files.entries:
            return self._missing(path)
        if access >= 0:
            self.files.entries[path].access_time_ms = access
        if modify >= 0:
            self.files.entries[path].modify_time_ms = modify
        return Answer()

    def _setpermission(self, request: Request, path: str, user: str) -> Answer:
        self.files.entries[path].permission = request.query["permission"]
        return Answer()

    def _create(self, request: Request, path: str, user: str) -> Answer:
        if not self.files.may(user, path):
            return self._denied(path, user)
        return self._redirect(request, path)

    def _open(self, request: Request, path: str, user: str) -> Answer:
        if path not in self.files.entries:
            return self._missing(path)
        return self._redirect(request, path)

    def _redirect(self, request: Request, path: str) -> Answer:
        query = {k: v for k, v in request.query.items() if k != "noredirect"}
        base = self.data_node_url or self.data_node.url
        location = f"{base}/webhdfs/v1{quote(path)}?{urlencode(query)}"
        if self.knows_noredirect and request.query.get("noredirect") == "true":
            return Answer.json({"Location": location})
        return Answer(307, b"", {"Location": location, "Content-Type": "application/octet-stream"})


class FakeDataNode(FakeServer):
    """Takes and gives the data."""

    def __init__(self, files: FakeFileSystem) -> None:
        self.files = files
        super().__init__()

    def answer(self, request: Request) -> Answer:
        path = "/" + request.path.removeprefix("/webhdfs/v1").strip("/")
        user = request.query.get("user.name", "dr.who")
        with self.files.lock:
            if request.method == "PUT":
                if path in self.files.entries and request.query.get("overwrite") != "true":
                    return Answer.error(403, "FileAlreadyExistsException", f"{path} already exists")
                permission = request.query.get("permission", "644")
                self.files.write(path, user, request.body, permission)
                return Answer(201)
            data = self.files.entries[path].data or b""
            offset = int(request.query.get("offset", 0))
            length = int(request.query.get("length", len(data)))
            return Answer(200, data[offset : offset + length])


@dataclass
class FakeNode:
    """A NodeManager, as the RM lists it."""

    node_id: str
    memory_mib: int = 8192
    vcores: int = 8
    state: str = "RUNNING"
    health_report: str = ""


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


class FakeResourceManager(FakeServer):
    """The RM's REST API on its web port."""

    def __init__(self, port: int = 0) -> None:
        self.standby = False
        self.starting = False
        """Whether it answers, but is not active yet."""
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
        self.configuration: dict[str, str] = {}
        """What its own configuration says."""
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
                    return Answer.json({"nodes": {"node": [_node(node) for node in self.nodes]}})
                case ["scheduler"]:
                    return Answer.json({"scheduler": {"schedulerInfo": self._queue("root")}})
                case ["apps", "new-application"]:
                    return self._new_application()
                case ["apps"]:
                    return (
                        self._submit(request) if request.method == "POST" else self._list(request)
                    )
                case ["apps", application_id, *rest]:
                    return self._application(request, application_id, rest)
        return Answer.html(404, "Error 404 Not Found")

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
            "startedOn": WELL_DATED_FOREVER,
            "hadoopVersion": "3.4.2",
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
                "user": request.query.get("user.name"),
                "name": submission["application-name"],
                "queue": submission["queue"],
                "applicationType": submission["application-type"],
                "applicationTags": ",".join(submission.get("application-tags", {}).get("tag", [])),
                "state": "ACCEPTED",
                "finalStatus": "UNDEFINED",
                "progress": 0.0,
                "startedTime": _now(),
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
                    finishedTime=_now(),
                    diagnostics=f"{application_id} submitted to unknown or stopped queue: "
                    f"{submission['queue']}",
                )
        return Answer(202, b"", {"Location": f"{self.url}/ws/v1/cluster/apps/{application_id}"})

    def _list(self, request: Request) -> Answer:
        apps = [app for app in self.applications.values() if app["state"] != "NEW"]
        for parameter, key in (("user", "user"), ("queue", "queue")):
            if parameter in request.query:
                apps = [app for app in apps if app[key] == request.query[parameter]]
        if "states" in request.query:
            apps = [app for app in apps if app["state"] in request.query["states"].split(",")]
        if "applicationTypes" in request.query:
            types = request.query["applicationTypes"].split(",")
            apps = [app for app in apps if app["applicationType"] in types]
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
            if app.get("user") not in (None, request.query.get("user.name")):
                return Answer.error(403, "ForbiddenException", "User cannot perform operation")
            if not self.stays_after_kill and app["state"] not in ("FINISHED", "FAILED"):
                app.update(state="KILLED", finalStatus="KILLED", finishedTime=_now())
            return Answer.json({"state": app["state"]}, 202)
        if rest == ["appattempts"]:
            attempts = self.attempts.get(application_id, [{"id": 1}])
            return Answer.json({"appAttempts": {"appAttempt": attempts}})
        return Answer.json({"app": app})

    def change(self, application_id: str, **fields: Any) -> None:
        """Sets fields of an application, by their names in the REST API."""
        with self._lock:
            self.applications[application_id].update(fields)


class FakeCluster:
    """All of them, and the configuration that leads to them."""

    def __init__(self, user: str = "alice") -> None:
        self.user = user
        self.file_system = FakeFileSystem()
        self.file_system.make(f"/user/{user}", user, "700")
        self.data_node = FakeDataNode(self.file_system)
        self.name_node = FakeNameNode(self.file_system, self.data_node)
        self.resource_manager = FakeResourceManager()

    @property
    def properties(self) -> dict[str, str]:
        """Hadoop's properties for it."""
        return {
            "fs.defaultFS": "hdfs://127.0.0.1:8020",
            "yarn.resourcemanager.address": "RM.example:8032",
            "dfs.namenode.http-address": f"127.0.0.1:{self.name_node.port}",
            "yarn.resourcemanager.webapp.address": f"127.0.0.1:{self.resource_manager.port}",
        }

    @property
    def config(self) -> ClusterConfig:
        return ClusterConfig.from_properties(self.properties)

    def write_configuration(self, directory: Path) -> Path:
        """Writes a directory for HADOOP_CONF_DIR."""
        directory.mkdir(parents=True, exist_ok=True)
        for name, prefixes in (
            ("core-site", ("fs.",)),
            ("hdfs-site", ("dfs.",)),
            ("yarn-site", ("yarn.",)),
        ):
            lines = "".join(
                f"<property><name>{key}</name><value>{escape(value)}</value></property>\n"
                for key, value in self.properties.items()
                if key.startswith(prefixes)
            )
            text = f"<?xml version='1.0'?>\n<configuration>\n{lines}</configuration>\n"
            (directory / f"{name}.xml").write_text(text, encoding="utf-8")
        return directory

    def close(self) -> None:
        for server in (self.resource_manager, self.name_node, self.data_node):
            server.stop()

    def __enter__(self) -> FakeCluster:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def closed_port() -> int:
    """A port at which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def _now() -> int:
    return int(time.time() * 1000)


def _parent(path: str) -> str:
    return path.rpartition("/")[0] or "/"


def _status(name: str, entry: Entry) -> dict[str, Any]:
    return {
        "pathSuffix": name,
        "type": "DIRECTORY" if entry.is_directory else "FILE",
        "length": len(entry.data or b""),
        "modificationTime": entry.modify_time_ms,
        "accessTime": entry.access_time_ms,
        "owner": entry.owner,
        "group": "users",
        "permission": entry.permission,
    }


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
    }
