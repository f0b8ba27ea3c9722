"""
Calls to a daemon by RPC: which connection, what is repeated, and to which member of a pair.

The policy is that of the REST door (`rest.failover`). A call that is sent again keeps its number,
and goes with the same client ID, by which a NameNode knows that it has done it already, whichever
member of the pair it was.
"""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Sequence
from typing import Any

import attrs

from knit._cluster.members import summary
from knit._cluster.patience import Patience
from knit._cluster.rest.daemons import Daemon
from knit._cluster.rpc import problems
from knit._cluster.rpc.connection import Answer, Connection, Endpoint
from knit._cluster.rpc.sasl import Identity
from knit._cluster.rpc.schema import Schema
from knit._cluster.rpc.wire import MESSAGES, STATUS_SUCCESS, frame, request_header
from knit._values.deadlines import Deadline
from knit.exceptions import ClusterError, ClusterTimeoutError, ClusterUnreachableError, StandbyError

#: With others still to try, a host that swallows packets does not get the whole time.
_CONNECT_SECONDS = 4.0
_ALONE_CONNECT_SECONDS = 20.0
#: Of several failures, the first of these says most.
_TELLING = (StandbyError, ClusterTimeoutError, ClusterUnreachableError)
_FIRST_CALL = 1
_LAST_CALL = 2**31 - 1


@attrs.frozen(kw_only=True)
class Protocol:
    """One of Hadoop's protocols."""

    name: str
    """In Java."""
    schema: Schema
    """Its messages: of a method `do`, `DoRequest` and `DoResponse`."""
    version: int = 1


class _UndecidedError(Exception):
    """A call may have been carried out, and must not be made again."""

    def __init__(self, error: ClusterError) -> None:
        super().__init__(error)
        self.error = error


class _Process:
    """What one process has of a client; a child that was forked has its own."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.client_id = uuid.uuid4().bytes
        self.lock = threading.Lock()
        self.next_call = _FIRST_CALL
        self.connections: dict[int, Connection] = {}
        self.connecting: dict[int, threading.Lock] = {}

    def call_id(self) -> int:
        with self.lock:
            found = self.next_call
            self.next_call = _FIRST_CALL if found == _LAST_CALL else found + 1
            return found

    def connecting_to(self, index: int) -> threading.Lock:
        with self.lock:
            return self.connecting.setdefault(index, threading.Lock())


class RpcClient:
    """
    Calls whichever of some addresses is the active one. Threads may share it.

    Args:
        endpoints: Where it may answer, likeliest first; at least one.
        protocol: What is spoken there.
        identity: Who we are.
    """

    def __init__(
        self, endpoints: Sequence[Endpoint], protocol: Protocol, identity: Identity
    ) -> None:
        self.endpoints = tuple(endpoints)
        self._protocol = protocol
        self._identity = identity
        self._process = _Process()
        self._patience = Patience(len(self.endpoints))
        # Written without a lock: a stale value costs one more try.
        self._active = 0

    @property
    def daemon(self) -> Daemon:
        """What answers there."""
        return self.endpoints[0].daemon

    @property
    def active(self) -> Endpoint:
        """Who answered last, or is tried first."""
        return self.endpoints[self._active]

    def close(self) -> None:
        """Closes the connections."""
        process = self._here()
        with process.lock:
            connections = list(process.connections.values())
            process.connections.clear()
        for connection in connections:
            connection.close()

    def call(
        self,
        method: str,
        *,
        what: str,
        deadline: Deadline,
        repeatable: bool = True,
        **fields: Any,
    ) -> Any:
        """
        Calls one method on the active member and returns its answer.

        Args:
            method: As the protocol has it.
            what: What is tried, for messages.
            deadline: For all tries together.
            repeatable: Whether doing it twice is the same as once, or the server knows a repeat.
                What is not is sent again only where the first certainly did nothing.
            fields: Of the request.

        Raises:
            ClusterError: By what it was; `exception` has Hadoop's word where it said one.
            KerberosError: No ticket, or none that serves.
        """
        name = method[0].upper() + method[1:]
        request = self._protocol.schema.new(f"{name}Request", **fields)
        call = _Call(method, request, self._here().call_id())

        def ask_all() -> Any:
            failures: list[ClusterError] = []
            order = self._order()
            for position, index in enumerate(order):
                others = len(order) - position - 1 if repeatable else 0
                try:
                    answer = self._try(
                        index, call, what, deadline.share(1 + others), repeatable=repeatable
                    )
                except problems.BrokenError as broken:
                    if not repeatable:
                        raise _UndecidedError(broken.error) from broken.__cause__
                    failures.append(broken.error)
                except _TELLING as error:
                    failures.append(error)
                else:
                    self._active = index
                    return self._read(f"{name}Response", answer, index, what)
                if deadline.remaining_seconds <= 0:
                    break
            raise summary(failures, what, self.daemon, _TELLING)

        try:
            return self._patience.insist(ask_all, deadline)
        except _UndecidedError as undecided:
            undecided.error._is_undecided = True
            raise undecided.error from undecided.__cause__

    def _order(self) -> list[int]:
        active = self._active
        return [active, *(index for index in range(len(self.endpoints)) if index != active)]

    def _try(
        self, index: int, call: _Call, what: str, deadline: Deadline, *, repeatable: bool
    ) -> Answer:
        """One member, twice where the connection was one that had stood idle."""
        for is_last in (False, True):
            try:
                connection = self._connection(index, what, deadline)
                answer = connection.call(
                    call.call_id, self._frame(call), what=what, deadline=deadline
                )
                break
            except problems.UnsentError as unsent:
                if is_last:
                    raise unsent.error from unsent
            except problems.BrokenError:
                if is_last or not repeatable:
                    raise
            finally:
                call.tries += 1
        self._patience.answered()
        if answer.header.status != STATUS_SUCCESS:
            endpoint = self.endpoints[index]
            raise problems.said_no(
                answer.header.exception,
                answer.header.message,
                endpoint.place,
                what,
                endpoint.daemon,
            )
        return answer

    def _frame(self, call: _Call) -> bytes:
        header = MESSAGES.new(
            "RequestHeader",
            method=call.method,
            protocol=self._protocol.name,
            protocol_version=self._protocol.version,
        )
        client_id = self._here().client_id
        return frame(request_header(call.call_id, client_id, call.tries), header, call.request)

    def _connection(self, index: int, what: str, deadline: Deadline) -> Connection:
        process = self._here()
        endpoint = self.endpoints[index]
        lock = process.connecting_to(index)
        if not lock.acquire(timeout=min(deadline.remaining_seconds, threading.TIMEOUT_MAX)):
            raise problems.too_late(endpoint.place, what, endpoint.daemon, deadline.total)
        try:
            found = process.connections.get(index)
            if found is None or not found.is_open:
                alone = len(self.endpoints) == 1
                found = Connection(
                    endpoint,
                    self._identity,
                    what=what,
                    deadline=deadline,
                    connect_seconds=_ALONE_CONNECT_SECONDS if alone else _CONNECT_SECONDS,
                )
                process.connections[index] = found
            return found
        finally:
            lock.release()

    def _here(self) -> _Process:
        if self._process.pid != os.getpid():
            # The parent's connections are left as they are: it goes on with them, and their
            # locks may have been held by threads that are not here.
            self._process = _Process()
        return self._process

    def _read(self, message: str, answer: Answer, index: int, what: str) -> Any:
        from google.protobuf.message import DecodeError

        try:
            return self._protocol.schema.read(message, answer.body)
        except DecodeError as error:
            endpoint = self.endpoints[index]
            raise problems.unreadable(error, endpoint.place, what, endpoint.daemon) from error


class _Call:
    def __init__(self, method: str, request: Any, call_id: int) -> None:
        self.method = method
        self.request = request
        self.call_id = call_id
        self.tries = 0
