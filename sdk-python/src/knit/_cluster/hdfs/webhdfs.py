"""
The cluster's file system over WebHDFS, or over HttpFS or a gateway that speaks the same.

Reading and writing go to a DataNode, in two steps: the NameNode says which one, then the data
goes there. No data is sent to the NameNode, and none before a DataNode was named.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, urlsplit

from knit._cluster.hdfs.data import FileData
from knit._cluster.hdfs.own_token import OwnToken, is_token_gone
from knit._cluster.hdfs.statuses import ContentSummary, FileStatus, file_status, join, to_quota
from knit._cluster.hdfs.transfer import (
    DataNodes,
    is_address,
    lacks_identity,
    query_of,
)
from knit._cluster.rest.answer_errors import check_status, json_of
from knit._cluster.rest.answers import Response, base_of
from knit._cluster.rest.client import HttpClient
from knit._cluster.rest.daemons import NAME_NODE
from knit._cluster.rest.failover import DaemonClient
from knit._cluster.security.tokens import MalformedTokenError, Token
from knit._values.deadlines import Deadline
from knit.exceptions import (
    ClusterError,
    ClusterResponseError,
    WebHdfsDisabledError,
    WrongPortError,
)

_API = "/webhdfs/v1"


class WebHdfs(FileData):
    """
    The file system behind a NameNode, or behind an HA pair of them. Threads may share it.

    Args:
        http: The connections.
        base_urls: Where it may answer, without `/webhdfs/v1`.
        timeout: For each call that is given no deadline of its own; for data, for the time in
            which nothing moves.
        by_token: Whether to show a delegation token, fetched by what we are to `http`: with
            Kerberos, where DataNodes know nothing else.
        held: The token that a container holds, in place of those that are fetched: with a token
            none are.
        home_prefix: Where home directories are. Default: where the NameNode says.
    """

    def __init__(
        self,
        http: HttpClient,
        base_urls: tuple[str, ...],
        *,
        timeout: timedelta = timedelta(seconds=30),
        by_token: bool = False,
        held: Callable[[], Token] | None = None,
        home_prefix: str | None = None,
    ) -> None:
        super().__init__(DataNodes(http), timeout)
        self.daemon = DaemonClient(http, NAME_NODE, base_urls)
        self._http = http
        self._held = held
        self._home_prefix = home_prefix
        cancel = None if held else self._cancel_token
        self._own_token = OwnToken(self.delegation_token, cancel) if by_token else None

    @property
    def user(self) -> str:
        """The name the file system knows us by."""
        return self._http.authentication.user

    @property
    def address(self) -> str:
        """Who answered last, or is asked first; for messages."""
        return self.daemon.active_url

    def now(self) -> datetime:
        """The time by the file system's clock, to a second; ours before it has answered."""
        return self.daemon.now()

    def delegation_token(
        self, renewer: str | None = None, *, timeout: timedelta | None = None
    ) -> Token:
        """
        Another delegation token of ours, as the file system names it.

        Its kind is that of the web protocol, and its service the NameNode's address, or nothing
        where it is not the NameNode's own: those of HttpFS are good for HttpFS only.

        Args:
            renewer: Who may renew and cancel it, a principal; empty: nobody. Default: we.
            timeout: Default: this object's.

        Raises:
            AccessDeniedError: We were not let in by a ticket, but by a token or a name.
            ClusterResponseError: It gives none, as without Kerberos.
        """
        what = "Asking for a delegation token of the file system"
        if self._held is not None:
            return self._held()
        query = {} if renewer is None else {"renewer": renewer}
        response = self._send(
            "GET", "/", "GETDELEGATIONTOKEN", what, query, self._deadline(timeout), None, False
        )
        found = json_of(response, what, NAME_NODE).get("Token")
        text = found.get("urlString") if isinstance(found, dict) else None
        if not isinstance(text, str):
            raise ClusterResponseError(
                f"{what}: {self.daemon.active_url} gave none, as where it does not authenticate "
                "with Kerberos. Correct hadoop.security.authentication, here or on the cluster.",
                url=self.daemon.active_url,
            )
        try:
            return Token.from_url_string(text)
        except MalformedTokenError as error:
            raise ClusterResponseError(
                f"{what}: what {self.daemon.active_url} gave is none ({error}). Is WebHDFS or "
                "HttpFS what listens there?",
                url=self.daemon.active_url,
            ) from None

    def key_provider(self, *, timeout: timedelta | None = None) -> str | None:
        """
        Where the keys of its encryption zones are, `kms://…`, as the file system itself says.

        None where it has none, or does not tell: before Hadoop 3.1, and HttpFS.
        """
        what = "Asking the file system for its key provider"
        try:
            data = self._json("GET", "/", "GETSERVERDEFAULTS", what, timeout)
        except ClusterResponseError:
            return None
        found = data.get("FsServerDefaults")
        said = found.get("keyProviderUri") if isinstance(found, dict) else None
        return said if isinstance(said, str) and said else None

    def home_directory(self, *, timeout: timedelta | None = None) -> str:
        """Our home directory's path. It need not exist."""
        data = self._json("GET", "/", "GETHOMEDIRECTORY", "Asking for the home directory", timeout)
        path = data.get("Path")
        if not isinstance(path, str):
            raise self._unreadable("Asking for the home directory", "Path")
        if self._home_prefix is not None:
            return join(self._home_prefix, path.rstrip("/").rpartition("/")[2])
        return path

    def status(self, path: str, *, timeout: timedelta | None = None) -> FileStatus:
        """
        What there is at a path.

        Raises:
            ClusterFileNotFoundError: Nothing.
        """
        what = f"Looking at {path}"
        found = self._json("GET", path, "GETFILESTATUS", what, timeout).get("FileStatus")
        if not isinstance(found, dict):
            raise self._unreadable(what, "FileStatus")
        return file_status(path, found)

    def list_directory(self, path: str, *, timeout: timedelta | None = None) -> list[FileStatus]:
        """
        What a directory holds, by name; for a file, the file.

        Raises:
            ClusterFileNotFoundError: There is no such path.
        """
        what = f"Listing {path}"
        statuses = self._json("GET", path, "LISTSTATUS", what, timeout).get("FileStatuses")
        found = statuses.get("FileStatus") if isinstance(statuses, dict) else None
        if not isinstance(found, list):
            raise self._unreadable(what, "FileStatuses")
        entries = (
            file_status(join(path, str(entry.get("pathSuffix", ""))), entry) for entry in found
        )
        return sorted(entries, key=lambda entry: entry.path)

    def make_directories(
        self, path: str, *, permission: str = "755", timeout: timedelta | None = None
    ) -> None:
        """Makes a directory and its parents. One that is there already is left as it is."""
        self._json(
            "PUT",
            path,
            "MKDIRS",
            f"Making the directory {path}",
            timeout,
            {"permission": permission},
            repeatable=True,
        )

    def rename(self, path: str, to: str, *, timeout: timedelta | None = None) -> bool:
        """Moves a file. False if the target exists or the source does not."""
        what = f"Renaming {path} to {to}"
        data = self._json("PUT", path, "RENAME", what, timeout, {"destination": to})
        return bool(data.get("boolean"))

    def delete(
        self, path: str, *, recursive: bool = False, timeout: timedelta | None = None
    ) -> bool:
        """Deletes a file or directory. False if there was none. Calling it again is safe."""
        query = {"recursive": str(recursive).lower()}
        what = f"Deleting {path}"
        data = self._json("DELETE", path, "DELETE", what, timeout, query, repeatable=True)
        return bool(data.get("boolean"))

    def set_times(
        self,
        path: str,
        *,
        access_time_ms: int | None = None,
        modify_time_ms: int | None = None,
        timeout: timedelta | None = None,
    ) -> None:
        """Sets the times that are given and leaves the other."""
        query = {
            "accesstime": str(-1 if access_time_ms is None else access_time_ms),
            "modificationtime": str(-1 if modify_time_ms is None else modify_time_ms),
        }
        what = f"Setting the times of {path}"
        self._json("PUT", path, "SETTIMES", what, timeout, query, repeatable=True)

    def set_permission(
        self, path: str, permission: str, *, timeout: timedelta | None = None
    ) -> None:
        """Sets the permission, octal."""
        query = {"permission": permission}
        what = f"Setting the permission of {path}"
        self._json("PUT", path, "SETPERMISSION", what, timeout, query, repeatable=True)

    def content_summary(self, path: str, *, timeout: timedelta | None = None) -> ContentSummary:
        """What lies below a directory, and its quotas."""
        what = f"Summing up {path}"
        found = self._json("GET", path, "GETCONTENTSUMMARY", what, timeout).get("ContentSummary")
        if not isinstance(found, dict):
            raise self._unreadable(what, "ContentSummary")
        return ContentSummary(
            size_bytes=int(found.get("length", 0)),
            space_consumed_bytes=int(found.get("spaceConsumed", 0)),
            file_count=int(found.get("fileCount", 0)),
            directory_count=int(found.get("directoryCount", 0)),
            name_quota=to_quota(found.get("quota")),
            space_quota_bytes=to_quota(found.get("spaceQuota")),
        )

    def check_access(
        self, path: str, action: str = "rwx", *, timeout: timedelta | None = None
    ) -> None:
        """
        Raises unless we may do this.

        Args:
            path: What to look at.
            action: Of `r`, `w` and `x`, those that are wanted, `-` for the others.
            timeout: Default: this object's.

        Raises:
            AccessDeniedError: We may not.
            ClusterFileNotFoundError: There is no such path.
        """
        what = f"Asking for access to {path}"
        self._json("GET", path, "CHECKACCESS", what, timeout, {"fsaction": action})

    def where_to_write(
        self,
        path: str,
        permission: str,
        overwrite: bool,
        what: str,
        deadline: Deadline,
        excluded: Sequence[str] | None = None,
    ) -> str:
        query = {"overwrite": str(overwrite).lower(), "permission": permission}
        return self._locate("PUT", path, "CREATE", what, query | _without(excluded), deadline)

    def where_to_read(
        self,
        path: str,
        offset_bytes: int,
        length_bytes: int | None,
        what: str,
        deadline: Deadline,
        excluded: Sequence[str] | None = None,
    ) -> str:
        query = {"offset": str(offset_bytes)}
        if length_bytes is not None:
            query["length"] = str(length_bytes)
        return self._locate("GET", path, "OPEN", what, query | _without(excluded), deadline)

    def close(self) -> None:
        """Cancels the token that was fetched. The connections are the cluster's."""
        if self._own_token is not None:
            self._own_token.close()

    def replaces_token(self, url_string: str) -> bool:
        if self._own_token is None:
            return False
        self._own_token.forget(url_string)
        return True

    def token_shown(self) -> str:
        if self._own_token is None:
            raise ValueError("no token of ours is shown")
        return self._own_token.url_string()

    def _cancel_token(self, token: Token, timeout: timedelta) -> None:
        # It says itself whose it is: by now there may be no ticket any more.
        shown = token.url_string()
        self._send(
            "PUT",
            "/",
            "CANCELDELEGATIONTOKEN",
            "Cancelling a delegation token of the file system",
            {"token": shown, "delegation": shown},
            self._deadline(timeout),
            None,
            False,
        )

    def _json(
        self,
        method: str,
        path: str,
        operation: str,
        what: str,
        timeout: timedelta | None,
        query: Mapping[str, str] | None = None,
        repeatable: bool | None = None,
    ) -> dict[str, Any]:
        response = self._call(
            method, path, operation, what, query, self._deadline(timeout), repeatable
        )
        return json_of(response, what, NAME_NODE)

    def _call(
        self,
        method: str,
        path: str,
        operation: str,
        what: str,
        query: Mapping[str, str] | None,
        deadline: Deadline,
        repeatable: bool | None = None,
        redirects: bool = False,
    ) -> Response:
        own = self._own_token
        if own is None:
            return self._send(method, path, operation, what, query, deadline, repeatable, redirects)
        for attempt in (1, 2):
            token = own.url_string()
            shown = {**(query or {}), "delegation": token}
            try:
                return self._send(
                    method, path, operation, what, shown, deadline, repeatable, redirects
                )
            except ClusterError as error:
                # It was cancelled, or its interval is shorter than we use one: nothing was done.
                if attempt == 2 or not is_token_gone(error):
                    raise
                own.forget(token)
        raise AssertionError

    def _send(
        self,
        method: str,
        path: str,
        operation: str,
        what: str,
        query: Mapping[str, str] | None,
        deadline: Deadline,
        repeatable: bool | None,
        redirects: bool,
    ) -> Response:
        if not path.startswith("/"):
            raise ValueError(f"{path!r} is not an absolute path")
        parameters = {"op": operation, **(query or {})}
        try:
            return self.daemon.request(
                method,
                _API + quote(path, safe="/"),
                what=what,
                deadline=deadline,
                query=parameters,
                repeatable=repeatable,
                redirects=redirects,
                authenticate="delegation" not in parameters,
            )
        except WrongPortError as error:
            if error.answered_by == NAME_NODE.name:
                raise WebHdfsDisabledError(
                    f"{what}: the NameNode at {base_of(error.url or '')} answers, "
                    "but not to WebHDFS (404). Set dfs.webhdfs.enabled to true on it, or run "
                    "HttpFS and name it in knit.webhdfs.url.",
                    url=error.url,
                    status=error.status,
                ) from error
            raise

    def _locate(
        self,
        method: str,
        path: str,
        operation: str,
        what: str,
        query: Mapping[str, str],
        deadline: Deadline,
    ) -> str:
        """Asks the NameNode where the data is to go or to come from."""
        # Hadoop 2 does not know noredirect, and redirects.
        asked = {**query, "noredirect": "true"}
        response = self._call(
            method, path, operation, what, asked, deadline, repeatable=True, redirects=True
        )
        location = _location(response, what)
        if is_address(location) and "noredirect" in query_of(location):
            # The question itself was sent on, as balancers do, for a NameNode leaves that out.
            location = self._located_elsewhere(method, response.url, location, what, deadline)
        if not is_address(location):
            raise self._unreadable(what, "Location")
        return location

    def _located_elsewhere(
        self, method: str, url: str, location: str, what: str, deadline: Deadline
    ) -> object:
        """Follows one redirect of the question where data is to go, to where it is as safe."""
        if urlsplit(location).scheme != urlsplit(url).scheme:
            raise ClusterResponseError(
                f"{what}: {base_of(url)} sent us on to {base_of(location)}, which is another "
                "protocol. Name the address that answers itself, in dfs.namenode.http-address or "
                "knit.webhdfs.url.",
                url=base_of(url),
            )
        response = self._http.request(
            method,
            location,
            what=what,
            daemon=NAME_NODE,
            deadline=deadline,
            authenticate=lacks_identity(location),
        )
        check_status(response, what, NAME_NODE, redirects=True)
        found = _location(response, what)
        if "noredirect" in query_of(found):
            raise ClusterResponseError(
                f"{what}: {base_of(url)} sent us on to {base_of(location)}, and that on again. "
                "Name the address that answers itself, in dfs.namenode.http-address or "
                "knit.webhdfs.url.",
                url=base_of(url),
            )
        return found

    def _unreadable(self, what: str, missing: str) -> ClusterResponseError:
        return ClusterResponseError(
            f"{what}: {self.daemon.active_url} answered without {missing}. Is WebHDFS or HttpFS "
            "what listens there?",
            url=self.daemon.active_url,
        )


def _location(response: Response, what: str) -> object:
    """Where an answer says that the data is to go; None if it does not."""
    location = response.headers.get("location")
    return location if location is not None else json_of(response, what, NAME_NODE).get("Location")


def _without(excluded: Sequence[str] | None) -> dict[str, str]:
    """
    The part of a question that leaves DataNodes out.

    A NameNode knows them by their addresses, or by these and ports that are not of the web server
    (Hadoop's `NamenodeWebHdfsMethods.chooseDatanode`). One whose name means nothing here it may
    name again.
    """
    addresses = []
    for place in excluded or ():
        with contextlib.suppress(OSError):
            addresses.append(socket.gethostbyname(urlsplit(f"//{place}").hostname or ""))
    return {"excludedatanodes": ",".join(dict.fromkeys(addresses))} if addresses else {}
