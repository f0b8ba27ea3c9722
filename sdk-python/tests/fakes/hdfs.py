"""A NameNode and a DataNode, as far as knit can tell them from Hadoop's."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from tests.fakes.server import Answer, FakeServer, Request, now_ms
from tests.fakes.tokens import Issuer


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
        self.entries[path] = Entry(owner, permission, None, now_ms(), 0)

    def write(self, path: str, owner: str, data: bytes, permission: str = "644") -> Entry:
        self.make_parents(path, owner)
        self.entries[path] = Entry(owner, permission, data, now_ms(), now_ms())
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
        self.knows_data_nodes = True
        """False after a start, before they have found it."""
        self.webhdfs = True
        self.knows_noredirect = True
        """False for Hadoop 2, which redirects."""
        self.records_access_times = True
        self.gone: list[str] = []
        """DataNodes that it names before the one that there is, each `host:port`."""
        self.data_node_url: str | None = None
        """Where to send clients instead of to the DataNode."""
        self.tokens: Issuer | None = None
        """Who issues delegation tokens; None without Kerberos."""
        self.key_provider: str | None = ""
        """What it says of its keys; None where it does not tell."""
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
        user = self._user(request)
        if user is None:
            return Answer.error(
                403,
                "SecurityException",
                "Failed to obtain user group information: org.apache.hadoop.security.token."
                "SecretManager$InvalidToken: Token for real user: , can't be found in cache",
            )
        with self.files.lock:
            answer: Answer = handler(request, path, user)
            return answer

    def _user(self, request: Request) -> str | None:
        """Who asks; None if that is not proved."""
        token = request.query.get("delegation")
        if token is not None:
            return self.tokens.owner_of(token) if self.tokens else None
        return request.user

    def _getdelegationtoken(self, request: Request, path: str, user: str) -> Answer:
        if "delegation" in request.query:
            return Answer.error(
                403,
                "IOException",
                "Delegation Token can be issued only with kerberos or web authentication",
            )
        if self.tokens is None:
            return Answer.json({"Token": None})
        token = self.tokens.issue(user, request.query.get("renewer", user))
        return Answer.json({"Token": {"urlString": token.url_string()}})

    def _canceldelegationtoken(self, request: Request, path: str, user: str) -> Answer:
        if self.tokens is None or not self.tokens.cancel(request.query["token"]):
            return Answer.error(403, "InvalidToken", "Token not found")
        return Answer()

    def _getserverdefaults(self, request: Request, path: str, user: str) -> Answer:
        if self.key_provider is None:
            return Answer.error(400, "IllegalArgumentException", "Invalid value for op")
        defaults = {"replication": 1, "keyProviderUri": self.key_provider}
        return Answer.json({"FsServerDefaults": defaults})

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
        if not self.knows_data_nodes:
            return Answer.error(
                403,
                "IOException",
                "Failed to find datanode, suggest to check cluster health. excludeDatanodes=null",
            )
        excluded = request.query.get("excludedatanodes")
        hosts = (excluded or "").split(",")
        named = [each for each in self.data_nodes if each.partition(":")[0] not in hosts]
        if not named:
            return Answer.error(
                403,
                "IOException",
                f"Failed to find datanode, suggest to check cluster health. "
                f"excludeDatanodes={excluded}",
            )
        query = {k: v for k, v in request.query.items() if k != "noredirect"}
        location = f"http://{named[0]}/webhdfs/v1{quote(path)}?{urlencode(query)}"
        if self.knows_noredirect and request.query.get("noredirect") == "true":
            return Answer.json({"Location": location})
        return Answer(307, b"", {"Location": location, "Content-Type": "application/octet-stream"})

    @property
    def data_nodes(self) -> list[str]:
        """All that it names, in that order, each `host:port`."""
        return [*self.gone, urlsplit(self.data_node_url or self.data_node.url).netloc]


class FakeDataNode(FakeServer):
    """Takes and gives the data."""

    def __init__(self, files: FakeFileSystem) -> None:
        self.files = files
        self.tokens: Issuer | None = None
        """Whose delegation tokens it believes."""
        super().__init__()

    def answer(self, request: Request) -> Answer:
        path = "/" + request.path.removeprefix("/webhdfs/v1").strip("/")
        user = request.user
        if "delegation" in request.query:
            owner = self.tokens.owner_of(request.query["delegation"]) if self.tokens else "dr.who"
            if owner is None:
                return Answer.error(
                    403,
                    "InvalidToken",
                    "token (HDFS_DELEGATION_TOKEN token 1 for alice) can't be found in cache",
                )
            user = owner
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
