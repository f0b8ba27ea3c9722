"""
Who calls the fake Application Master of `knit.testing`, and what they may.

The table is that of `docs/contract.md`, to which the real one is held as well.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from typing import TYPE_CHECKING

import attrs

from knit._values.access import Role
from knit._values.references import ContainerRef
from knit.testing._refusals import Refusal
from knit.testing._service import FINAL
from knit.v1 import container_pb2, service_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable

    import grpc

    from knit.testing._state import FakeState

_ALL = frozenset({Role.OWNER, Role.OPERATOR, Role.VIEWER, Role.CONTAINER})
_WORKING = _ALL - {Role.VIEWER}
_OPERATING = frozenset({Role.OWNER, Role.OPERATOR})
ALLOWED = {
    "knit.v1.ApplicationService/GetApplication": _ALL,
    "knit.v1.ApplicationService/UpdateApplication": _OPERATING,
    "knit.v1.ApplicationService/Shutdown": frozenset({Role.OWNER}),
    "knit.v1.ApplicationService/ReportProgress": _WORKING,
    "knit.v1.ApplicationService/ListServices": _ALL,
    "knit.v1.ApplicationService/AddServices": _OPERATING,
    "knit.v1.ApplicationService/RemoveServices": _OPERATING,
    "knit.v1.ApplicationService/UpdateService": _OPERATING,
    "knit.v1.ApplicationService/ScaleService": _OPERATING,
    "knit.v1.ContainerService/ListContainers": _ALL,
    "knit.v1.ContainerService/AddContainers": _OPERATING,
    "knit.v1.ContainerService/StopContainers": _WORKING,
    "knit.v1.ContainerService/RestartContainers": _OPERATING,
    "knit.v1.ContainerService/ReportReady": _WORKING,
    "knit.v1.EventService/WatchEvents": _ALL,
    "knit.v1.KeyValueService/Get": _ALL,
    "knit.v1.KeyValueService/Range": _ALL,
    "knit.v1.KeyValueService/Put": _WORKING,
    "knit.v1.KeyValueService/Delete": _WORKING,
    "knit.v1.KeyValueService/Commit": _WORKING,
    "knit.v1.KeyValueService/GrantLease": _WORKING,
    "knit.v1.KeyValueService/KeepLease": _WORKING,
    "knit.v1.KeyValueService/RevokeLease": _WORKING,
    "knit.v1.LogService/ListLogFiles": _ALL,
    "knit.v1.LogService/StreamLogs": _ALL,
}
"""Which roles may make which call."""

_FULL_NAMES = {name.rpartition("/")[2]: name for name in ALLOWED}
_ROLE_OF_ACCESS = {
    service_pb2.ACCESS_OPERATOR: Role.OPERATOR,
    service_pb2.ACCESS_OWNER: Role.OWNER,
}
_TOKEN = re.compile(r"(([-._A-Za-z0-9]{1,63})/(\d{1,9})/(\d{1,9}))/([-_A-Za-z0-9]{43})")
_METADATA = "knit-token"


@attrs.frozen
class Caller:
    """Who makes a call."""

    role: Role
    container: ContainerRef | None = None
    """The container that calls; None: a client from outside."""

    @property
    def is_confined(self) -> bool:
        """Whether it may deal with itself only."""
        return self.role is Role.CONTAINER

    def __str__(self) -> str:
        if self.container is None:
            return f"these credentials are {_a(self.role)}'s"
        return (
            f"this is container {self.container}, whose service has the access {_word(self.role)}"
        )


def caller_of(state: FakeState, context: grpc.ServicerContext) -> Caller:
    """
    Who makes this call, by its certificate and, of a container, its token.

    Raises:
        Refusal: Nobody knows.
    """
    found: Iterable[bytes] = context.auth_context().get("peer_uri", ())  # type: ignore[assignment]
    uris = [uri.decode() for uri in found]
    known = {f"knit:role/{_word(role)}": role for role in _ALL}
    role = next((known[uri] for uri in uris if uri in known), None)
    if role is None:
        raise Refusal("UNAUTHENTICATED", "NO_ROLE", "This client's certificate says no role.")
    return _container(state, context) if role is Role.CONTAINER else Caller(role)


def _container(state: FakeState, context: grpc.ServicerContext) -> Caller:
    token = next((v for k, v in context.invocation_metadata() if k == _METADATA), None)
    if token is None:
        raise Refusal(
            "UNAUTHENTICATED",
            "TOKEN_MISSING",
            "A container's certificate is good only with the container's token: send the content "
            f"of $KNIT_CREDENTIALS/token as metadata '{_METADATA}' with each call.",
        )
    found = _TOKEN.fullmatch(token) if isinstance(token, str) else None
    if found is None or not hmac.compare_digest(found[5], _code(state, found[1])):
        raise Refusal(
            "UNAUTHENTICATED",
            "TOKEN_REFUSED",
            f"The token sent as '{_METADATA}' is none of this Application Master's.",
        )
    ref = ContainerRef(found[2], int(found[3]))
    with state.changed:
        container = state.find_ref(ref.service, ref.ordinal)
        if container is None or container.state in FINAL:
            raise Refusal(
                "UNAUTHENTICATED",
                "CONTAINER_ENDED",
                f"{ref} has ended, and its token with it.",
                {"service_name": ref.service, "ordinal": ref.ordinal},
            )
        access = state.services[ref.service].spec.access
    return Caller(_ROLE_OF_ACCESS.get(access, Role.CONTAINER), ref)


def token_of(state: FakeState, ref: ContainerRef, attempt_number: int) -> str:
    """By which a container says which one it is."""
    named = f"{ref.service}/{ref.ordinal}/{attempt_number}"
    return f"{named}/{_code(state, named)}"


def _code(state: FakeState, named: str) -> str:
    said = f"knit-token\n{state.history_id}\n{named}".encode()
    code = hmac.new(state.token_key, said, hashlib.sha256).digest()
    return base64.urlsafe_b64encode(code).rstrip(b"=").decode()


def refuse_unless_allowed(caller: Caller, call: str) -> None:
    """Refuses a call that is not for this role."""
    name = _FULL_NAMES[call]
    needed = sorted(ALLOWED[name], reverse=True)
    if caller.role not in needed:
        raise Refusal(
            "PERMISSION_DENIED",
            "PERMISSION_DENIED",
            f"{call} needs the role {' or '.join(map(_word, needed))}, and {caller}.",
            {
                "method": name,
                "role": _word(caller.role),
                "needed": ",".join(_word(role) for role in sorted(needed)),
            },
        )


def refuse_others(caller: Caller, containers: Iterable[container_pb2.Container], what: str) -> None:
    """Refuses what a container would do with another than itself."""
    for container in containers if caller.is_confined else ():
        ref = ContainerRef(container.service_name, container.ordinal)
        if ref != caller.container:
            raise Refusal(
                "PERMISSION_DENIED",
                "NOT_YOURSELF",
                f"A container may {what} itself only: this is {caller.container}, and not {ref}.",
                {"service_name": ref.service, "ordinal": ref.ordinal},
            )


def refuse_more_access(caller: Caller, service: str, spec: service_pb2.ServiceSpec) -> None:
    """Refuses to give a service more than the caller has."""
    wanted = _ROLE_OF_ACCESS.get(spec.access, Role.CONTAINER)
    if wanted is Role.CONTAINER or caller.role <= wanted:
        return
    raise Refusal(
        "PERMISSION_DENIED",
        "PERMISSION_DENIED",
        f"Service {service} cannot be given the access {_word(wanted)}: {caller}, and nobody gives "
        "more than they have.",
        {"service_name": service, "role": _word(caller.role), "needed": _word(wanted)},
    )


def refuse_to_viewers(caller: Caller) -> None:
    """Refuses values of keys to who only looks."""
    if caller.role is Role.VIEWER:
        raise Refusal(
            "PERMISSION_DENIED",
            "PERMISSION_DENIED",
            "A viewer sees keys without their values. Watch without values, or ask for another "
            "role.",
        )


def _word(role: Role) -> str:
    return role.name.lower()


def _a(role: Role) -> str:
    return f"{'an' if role in (Role.OWNER, Role.OPERATOR) else 'a'} {_word(role)}"
