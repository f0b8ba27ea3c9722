"""A look into the cluster's file system that does not go through the code under test."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import quote, urlencode

import attrs

from integration.clusters import rest


@attrs.frozen
class Hdfs:
    """The file system as one user sees it, over WebHDFS."""

    name_node_urls: tuple[str, ...]
    """Base URLs; the first one that answers and is active serves."""
    default_fs: str
    """`hdfs://…`, without a slash at its end."""
    user: str
    session: rest.Session = attrs.field(
        default=attrs.Factory(lambda self: rest.Session(self.user), takes_self=True)
    )
    """HTTP as that user; the default claims the name."""

    @property
    def home(self) -> str:
        return f"/user/{self.user}"

    def claiming(self, user: str) -> Hdfs:
        """The same by another name, on a cluster that believes names."""
        return attrs.evolve(self, user=user, session=rest.Session(user))

    def url(self, path: str, operation: str, **parameters: object) -> str:
        """The WebHDFS URL of an operation, at the NameNode that is active."""
        return self.session.claimed(self._url(self._active(), path, operation, **parameters))

    def status(self, path: str) -> dict[str, Any] | None:
        """What WebHDFS says of a path; None if there is nothing."""
        answer = self._call("GET", path, "GETFILESTATUS")
        return None if answer is None else dict(answer["FileStatus"])

    def exists(self, path: str) -> bool:
        return self.status(path) is not None

    def list(self, path: str) -> dict[str, dict[str, Any]]:
        """The entries of a directory by their names; empty if there is no such directory."""
        answer = self._call("GET", path, "LISTSTATUS")
        statuses = [] if answer is None else answer["FileStatuses"]["FileStatus"]
        return {each["pathSuffix"]: dict(each) for each in statuses}

    def read(self, path: str) -> bytes:
        with self._open("GET", path, "OPEN") as response:
            return bytes(response.read())

    def write(self, path: str, data: bytes) -> None:
        options = {"overwrite": "true", "noredirect": "true"}
        with self._open("PUT", path, "CREATE", **options) as response:
            location = json.load(response)["Location"]
        request = urllib.request.Request(location, data=data, method="PUT")
        request.add_header("Content-Type", "application/octet-stream")
        with self.session.open(request):
            pass

    def make_directory(self, path: str, permission: str = "755") -> None:
        self._call("PUT", path, "MKDIRS", permission=permission)

    def set_permission(self, path: str, permission: str) -> None:
        self._call("PUT", path, "SETPERMISSION", permission=permission)

    def delete(self, path: str) -> None:
        self._call("DELETE", path, "DELETE", recursive="true")

    def staged_applications(self) -> set[str]:
        """The applications that have a staging directory."""
        return set(self.list(f"{self.home}/.knit/applications"))

    def cache(self) -> dict[str, int]:
        """The files of the cache and when each was written, in milliseconds."""
        return {
            name: int(status["modificationTime"])
            for name, status in self.list(f"{self.home}/.knit/cache").items()
        }

    def _active(self) -> str:
        for base in self.name_node_urls[:-1]:
            try:
                self.session.get(self._url(base, "/", "GETFILESTATUS"), timeout_seconds=10)
            except OSError:
                continue
            return base
        return self.name_node_urls[-1]

    def _url(self, base: str, path: str, operation: str, **parameters: object) -> str:
        query = urlencode({"op": operation, **parameters})
        return f"{base}/webhdfs/v1{quote(path)}?{query}"

    def _call(self, method: str, path: str, operation: str, **parameters: object) -> Any:
        try:
            with self._open(method, path, operation, **parameters) as response:
                content = response.read()
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise
        return json.loads(content) if content else {}

    def _open(self, method: str, path: str, operation: str, **parameters: object) -> Any:
        url = self.url(path, operation, **parameters)
        return self.session.open(urllib.request.Request(url, method=method), timeout_seconds=30)
