"""
The file system by the protocol that Hadoop's own clients speak.

The NameNode's web server is not needed. Data still goes to and from the web servers of DataNodes,
which are told by a delegation token who we are, and by which NameNode.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import quote, urlencode

import attrs

from knit._cluster.hdfs import rpc_messages as rpc
from knit._cluster.hdfs.data import FileData
from knit._cluster.hdfs.own_token import OwnToken
from knit._cluster.hdfs.statuses import ContentSummary, FileStatus, join
from knit._cluster.hdfs.transfer import DataNodes
from knit._cluster.rpc.client import RpcClient
from knit._cluster.security.tokens import MalformedTokenError, Token, TokenIdentifier
from knit._values.deadlines import Deadline
from knit.exceptions import (
    ClusterError,
    ClusterFileNotFoundError,
    ClusterResponseError,
    ClusterUnreachableError,
)

MOST_ENTRIES = 500_000
"""Of one directory: by REST as many are the 128 MiB that are read of an answer."""
_ACCESS = {"r": 4, "w": 2, "x": 1, "-": 0}


@attrs.frozen(kw_only=True)
class FileSystemPlace:
    """What DataNodes and paths need to know of a file system."""

    name: str
    """By what DataNodes know the NameNode: its nameservice, or `host:port`."""
    https: bool
    """Whether DataNodes are spoken to by https."""
    home_prefix: str = "/user"
    """What home directories lie in."""


class RpcFiles(FileData):
    """
    The file system behind a NameNode, or behind an HA pair of them, by RPC.

    Args:
        client: The connections to the NameNode.
        data_nodes: What speaks to DataNodes.
        place: What else has to be known of it.
        user: Asks for the name that it knows us by.
        claimed: That name, where it is believed, with whom it acts for. None: a token is needed.
        timeout: For each call that is given no deadline of its own; for data, for the time in
            which nothing moves.
        held: The token that a container holds, in place of those that are fetched.
    """

    def __init__(
        self,
        client: RpcClient,
        data_nodes: DataNodes,
        place: FileSystemPlace,
        *,
        user: Callable[[], str],
        claimed: Sequence[tuple[str, str]] | None,
        timeout: timedelta = timedelta(seconds=30),
        held: Callable[[], Token] | None = None,
    ) -> None:
        super().__init__(data_nodes, timeout)
        self._client = client
        self._place = place
        self._ask_user = user
        self._claimed = claimed
        self._held = held
        self._clock = timedelta()
        self._server_defaults: Any = None
        self._own_token = OwnToken(self._fetch_token, None if held else self._cancel_token)

    @property
    def user(self) -> str:
        """The name the file system knows us by."""
        return self._ask_user()

    @property
    def address(self) -> str:
        """Who answered last, or is asked first; for messages."""
        return self._client.active.place

    def now(self) -> datetime:
        """The time by this machine's clock, or the NameNode's where a token told it."""
        return datetime.now(timezone.utc) + self._clock

    def close(self) -> None:
        """Cancels the token that was fetched, and closes the connections to the NameNode."""
        self._own_token.close()
        self._client.close()

    def delegation_token(
        self, renewer: str | None = None, *, timeout: timedelta | None = None
    ) -> Token:
        """
        Another delegation token of ours, as the NameNode names it: without a service.

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
        by = self.user if renewer is None else renewer
        found = self._call("getDelegationToken", what, timeout, renewer=by)
        if not found.HasField("token"):
            raise ClusterResponseError(
                f"{what}: {self.address} gave none, as where it does not authenticate with "
                "Kerberos. Correct hadoop.security.authentication, here or on the cluster.",
                url=self.address,
            )
        told = found.token
        return Token(told.identifier, told.password, told.kind, told.service)

    def key_provider(self, *, timeout: timedelta | None = None) -> str | None:
        """Where the keys of its encryption zones are, `kms://…`; None where it has none."""
        what = "Asking the file system for its key provider"
        return self._defaults(what, self._deadline(timeout)).key_provider or None

    def home_directory(self, *, timeout: timedelta | None = None) -> str:
        """Our home directory's path. It need not exist."""
        # By this protocol nobody tells it; but that there is a NameNode is known afterwards.
        self._defaults("Asking for the home directory", self._deadline(timeout))
        return f"{self._place.home_prefix.rstrip('/')}/{self.user}"

    def status(self, path: str, *, timeout: timedelta | None = None) -> FileStatus:
        what = f"Looking at {path}"
        found = self._call("getFileInfo", what, timeout, src=_absolute(path))
        if not found.HasField("status"):
            raise self._missing(path, what)
        return _status(path, found.status)

    def list_directory(self, path: str, *, timeout: timedelta | None = None) -> list[FileStatus]:
        """
        What a directory holds, by name; for a file, the file.

        Raises:
            ClusterFileNotFoundError: There is no such path.
            ClusterResponseError: It holds more than 500,000.
        """
        what = f"Listing {path}"
        deadline = self._deadline(timeout)
        found: list[FileStatus] = []
        last = b""
        while True:
            answer = self._client.call(
                "getListing",
                what=what,
                deadline=deadline,
                src=_absolute(path),
                start_after=last,
                with_places=False,
            )
            if not answer.HasField("listing"):
                raise self._missing(path, what)
            entries = answer.listing.entries
            for entry in entries:
                name = entry.path.decode("utf-8", "surrogateescape")
                found.append(_status(join(path, name), entry))
            if not answer.listing.remaining or not entries:
                return sorted(found, key=lambda entry: entry.path)
            if len(found) > MOST_ENTRIES:
                raise ClusterResponseError(
                    f"{what}: it holds more than {MOST_ENTRIES} files and directories, which are "
                    "not read. Name a smaller one.",
                    url=self.address,
                )
            last = entries[-1].path

    def make_directories(
        self, path: str, *, permission: str = "755", timeout: timedelta | None = None
    ) -> None:
        """Makes a directory and its parents. One that is there already is left as it is."""
        self._call(
            "mkdirs",
            f"Making the directory {path}",
            timeout,
            src=_absolute(path),
            masked=_permission(permission),
            with_parents=True,
        )

    def rename(self, path: str, to: str, *, timeout: timedelta | None = None) -> bool:
        """Moves a file. False if the target exists or the source does not."""
        what = f"Renaming {path} to {to}"
        found = self._call("rename", what, timeout, src=_absolute(path), dst=_absolute(to))
        return bool(found.result)

    def delete(
        self, path: str, *, recursive: bool = False, timeout: timedelta | None = None
    ) -> bool:
        """Deletes a file or directory. False if there was none. Calling it again is safe."""
        found = self._call(
            "delete", f"Deleting {path}", timeout, src=_absolute(path), recursive=recursive
        )
        return bool(found.result)

    def set_times(
        self,
        path: str,
        *,
        access_time_ms: int | None = None,
        modify_time_ms: int | None = None,
        timeout: timedelta | None = None,
    ) -> None:
        """Sets the times that are given and leaves the other."""
        self._call(
            "setTimes",
            f"Setting the times of {path}",
            timeout,
            src=_absolute(path),
            mtime=rpc.UNSET if modify_time_ms is None else modify_time_ms,
            atime=rpc.UNSET if access_time_ms is None else access_time_ms,
        )

    def set_permission(
        self, path: str, permission: str, *, timeout: timedelta | None = None
    ) -> None:
        """Sets the permission, octal."""
        self._call(
            "setPermission",
            f"Setting the permission of {path}",
            timeout,
            src=_absolute(path),
            permission=_permission(permission),
        )

    def content_summary(self, path: str, *, timeout: timedelta | None = None) -> ContentSummary:
        """What lies below a directory, and its quotas."""
        what = f"Summing up {path}"
        found = self._call("getContentSummary", what, timeout, src=_absolute(path)).summary
        return ContentSummary(
            size_bytes=found.length,
            space_consumed_bytes=found.space_consumed,
            file_count=found.files,
            directory_count=found.directories,
            name_quota=_quota(found.quota),
            space_quota_bytes=_quota(found.space_quota),
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
        mode = sum(_ACCESS[letter] for letter in action)
        self._call("checkAccess", what, timeout, src=_absolute(path), mode=mode)

    def where_to_write(
        self,
        path: str,
        permission: str,
        overwrite: bool,
        what: str,
        deadline: Deadline,
        excluded: Sequence[str] | None = None,
    ) -> str:
        # What is there already by the second time was made by the first one.
        overwrite = overwrite or excluded is not None
        node = self._data_node_for(path, permission, overwrite, what, deadline, excluded or ())
        query = {
            "op": "CREATE",
            "createparent": "true",
            "overwrite": "true",
            "permission": permission,
        }
        return self._url(path, node, query)

    def _data_node_for(
        self,
        path: str,
        permission: str,
        overwrite: bool,
        what: str,
        deadline: Deadline,
        excluded: Sequence[str],
    ) -> Any:
        """
        A DataNode that takes data, chosen by the NameNode.

        It lists its DataNodes for administrators only, and chooses one for whoever writes. So the
        file is made, empty, which is also when it is told that there is one already, and is given
        a place for its first block, which is not taken. The DataNode then makes it anew.
        """

        def call(method: str, **fields: Any) -> Any:
            return self._client.call(
                method, what=what, deadline=deadline, src=_absolute(path), **fields
            )

        defaults = self._defaults(what, deadline)
        client = f"knit_{uuid.uuid4().hex}"
        made = call(
            "create",
            masked=_permission(permission),
            client=client,
            flags=rpc.CREATE | (rpc.OVERWRITE if overwrite else 0),
            with_parents=True,
            replication=defaults.replication,
            block_bytes=defaults.block_bytes,
        )
        file_id = made.file.id
        without: list[Any] = []
        try:
            while True:
                block = call("addBlock", client=client, file_id=file_id, excluded=without).block
                call("abandonBlock", block=block.id, client=client, file_id=file_id)
                node = block.places[0]
                if self._web_place(node) not in excluded or len(without) >= len(excluded):
                    return node
                # By RPC they are left out by all that the NameNode has told of them.
                without.append(node)
        finally:
            call("complete", client=client, file_id=file_id)

    def _defaults(self, what: str, deadline: Deadline) -> Any:
        if self._server_defaults is None:
            found = self._client.call("getServerDefaults", what=what, deadline=deadline)
            self._server_defaults = found.defaults
        return self._server_defaults

    def where_to_read(
        self,
        path: str,
        offset_bytes: int,
        length_bytes: int | None,
        what: str,
        deadline: Deadline,
        excluded: Sequence[str] | None = None,
    ) -> str | None:
        found = self._client.call(
            "getBlockLocations",
            what=what,
            deadline=deadline,
            src=_absolute(path),
            offset=offset_bytes,
            length=1,
        )
        if not found.HasField("blocks"):
            raise self._missing(path, what)
        if offset_bytes > found.blocks.length:
            raise ClusterResponseError(
                f"{what}: it has {found.blocks.length} bytes, and was to be read from byte "
                f"{offset_bytes} on. Was it replaced in the meantime?",
                url=self.address,
            )
        if offset_bytes == found.blocks.length:
            return None
        # Another one each time: one of them may be gone.
        nodes = [node for block in found.blocks.blocks for node in block.places]
        if not nodes:
            raise ClusterUnreachableError(
                f"{what}: no DataNode that has its byte {offset_bytes} is live. Look at the "
                "NameNode's web page, or: hdfs fsck",
                url=self.address,
            )
        query = {"op": "OPEN", "offset": str(offset_bytes)}
        if length_bytes is not None:
            query["length"] = str(length_bytes)
        others = [node for node in nodes if self._web_place(node) not in (excluded or ())]
        return self._url(path, random.choice(others or nodes), query)  # noqa: S311  (no secret)

    def _url(self, path: str, node: Any, query: dict[str, str]) -> str:
        scheme = "https" if self._place.https else "http"
        who = self._claimed
        if who is None:
            who = [("delegation", self._own_token.url_string())]
        asked = urlencode([*query.items(), *who, ("namenoderpcaddress", self._place.name)])
        return f"{scheme}://{self._web_place(node)}/webhdfs/v1{quote(path, safe='/')}?{asked}"

    def _web_place(self, node: Any) -> str:
        """Where a DataNode's web server is, `host:port`."""
        return f"{node.id.host}:{node.id.https_port if self._place.https else node.id.http_port}"

    def _fetch_token(self) -> Token:
        token = self.delegation_token("")
        try:
            told = TokenIdentifier.of(token)
        except MalformedTokenError:
            told = None
        if told is not None and told.issue_time is not None:
            self._clock = told.issue_time - datetime.now(timezone.utc)
        return token

    def _cancel_token(self, token: Token, timeout: timedelta) -> None:
        told = rpc.MESSAGES.new(
            "Token",
            identifier=token.identifier,
            password=token.password,
            kind=token.kind,
            service=token.service,
        )
        what = "Cancelling a delegation token of the file system"
        self._call("cancelDelegationToken", what, timeout, token=told)

    def replaces_token(self, url_string: str) -> bool:
        self._own_token.forget(url_string)
        return True

    def token_shown(self) -> str:
        return self._own_token.url_string()

    def _call(self, method: str, what: str, timeout: timedelta | None, **fields: Any) -> Any:
        """What is sent again is known to the NameNode by its number, and so is done once."""
        return self._client.call(method, what=what, deadline=self._deadline(timeout), **fields)

    def _missing(self, path: str, what: str) -> ClusterError:
        return ClusterFileNotFoundError(
            f"{what}: the NameNode at {self.address} said no (FileNotFoundException: File does "
            f"not exist: {path}). Check the path.",
            url=self.address,
        )


def _absolute(path: str) -> str:
    if not path.startswith("/"):
        raise ValueError(f"{path!r} is not an absolute path")
    return path


def _permission(octal: str) -> Any:
    return rpc.MESSAGES.new("Permission", perm=int(octal, 8))


def _status(path: str, message: Any) -> FileStatus:
    return FileStatus(
        path=path,
        is_directory=message.type == rpc.IS_DIRECTORY,
        size_bytes=message.length,
        modify_time_ms=message.modify_time,
        access_time_ms=message.access_time,
        owner=message.owner,
        group=message.group,
        permission=f"{message.permission.perm:o}",
    )


def _quota(number: int) -> int | None:
    return number if number < 1 << 63 else None
