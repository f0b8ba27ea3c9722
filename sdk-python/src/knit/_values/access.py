"""Who may see and change an application, at the ResourceManager and at its own port."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from knit._values.checking import names
from knit._values.enums import OpenEnum
from knit._values.in_documents import in_documents
from knit._values.paths import expanded
from knit._values.places import at
from knit._values.reading import as_said
from knit.exceptions import FileMissingError, SpecError

if TYPE_CHECKING:
    from knit.v1 import application_pb2

MOST_NAMES = 1_000
"""Of each list of users or groups."""
MOST_GRANTS = 100
LARGEST_CERTIFICATE_BYTES = 64 * 1024

_FINGERPRINT = re.compile(r"sha256:([0-9a-f]{64})", re.IGNORECASE)
_USERS = names("user", MOST_NAMES)
_GROUPS = names("group", MOST_NAMES)


def _to_view_users(value: Iterable[str]) -> tuple[str, ...]:
    return _USERS.of("view_users", value)


def _to_view_groups(value: Iterable[str]) -> tuple[str, ...]:
    return _GROUPS.of("view_groups", value)


def _to_modify_users(value: Iterable[str]) -> tuple[str, ...]:
    return _USERS.of("modify_users", value)


def _to_modify_groups(value: Iterable[str]) -> tuple[str, ...]:
    return _GROUPS.of("modify_groups", value)


class Role(OpenEnum):
    """What a client may ask of an Application Master."""

    UNKNOWN = 0
    """A role newer than this SDK."""
    OWNER = 1
    """Everything."""
    OPERATOR = 2
    """Everything but to see values of variables and annotations and to end the application."""
    VIEWER = 3
    """Look: status, lists, logs, events, keys without values."""
    CONTAINER = 4
    """What containers may."""


@attrs.frozen(kw_only=True)
class AccessControl:
    """
    Users and groups by name; `*` is everybody. The owner always may.

    YARN enforces it, where `yarn.acl.enable` is set: for the application at the ResourceManager,
    and for the logs of its containers.
    """

    view_users: tuple[str, ...] = attrs.field(
        default=(),
        converter=_to_view_users,
        metadata=in_documents(write=list, omit_default=True, schema=_USERS.schema),
    )
    """Who may view it."""
    view_groups: tuple[str, ...] = attrs.field(
        default=(),
        converter=_to_view_groups,
        metadata=in_documents(write=list, omit_default=True, schema=_GROUPS.schema),
    )
    """Groups whose users may view it."""
    modify_users: tuple[str, ...] = attrs.field(
        default=(),
        converter=_to_modify_users,
        metadata=in_documents(write=list, omit_default=True, schema=_USERS.schema),
    )
    """Who may modify it, which includes to kill it."""
    modify_groups: tuple[str, ...] = attrs.field(
        default=(),
        converter=_to_modify_groups,
        metadata=in_documents(write=list, omit_default=True, schema=_GROUPS.schema),
    )
    """Groups whose users may modify it."""

    @classmethod
    def _from_proto(cls, message: application_pb2.AccessControl) -> AccessControl:
        return as_said(
            cls,
            view_users=tuple(message.view_users),
            view_groups=tuple(message.view_groups),
            modify_users=tuple(message.modify_users),
            modify_groups=tuple(message.modify_groups),
        )

    def _to_proto(self) -> application_pb2.AccessControl:
        from knit.v1 import application_pb2

        return application_pb2.AccessControl(
            view_users=self.view_users,
            view_groups=self.view_groups,
            modify_users=self.modify_users,
            modify_groups=self.modify_groups,
        )


def _to_certificate(value: str | os.PathLike[str]) -> str:
    source = os.fspath(value) if isinstance(value, (str, os.PathLike)) else None
    if not isinstance(source, str) or not source or "\0" in source:
        raise SpecError(
            f"certificate is {value!r}: give the path of a PEM file, or 'sha256:' and its "
            "fingerprint in hexadecimal digits."
        )
    return source.lower() if _FINGERPRINT.fullmatch(source) else source


def _check_role(_: object, __: attrs.Attribute[Role], value: object) -> None:
    if value not in (Role.OWNER, Role.OPERATOR, Role.VIEWER):
        raise SpecError(
            "role is "
            f"{value.name.lower() if isinstance(value, Role) else repr(value)}: give owner, "
            "operator or viewer."
        )


@attrs.frozen
class ClientGrant:
    """A client with a certificate of its own, and what it may do."""

    certificate: str = attrs.field(
        converter=_to_certificate,
        metadata=in_documents(schema={"type": "string", "minLength": 1}),
    )
    """
    The path of its certificate, a PEM file of this machine that is read at submission (its key
    is never needed); or `sha256:` and the certificate's fingerprint in hexadecimal digits.
    """
    role: Role = attrs.field(
        validator=_check_role,
        metadata=in_documents(read=None, schema={"not": {"pattern": "^[Cc][Oo][Nn]"}}),
    )
    """What it may do: `owner`, `operator` or `viewer`."""

    def _below(self, directory: Path) -> ClientGrant:
        """The same with a relative path taken from a directory."""
        if _FINGERPRINT.fullmatch(self.certificate) or expanded(self.certificate).is_absolute():
            return self
        return attrs.evolve(self, certificate=str(directory / expanded(self.certificate)))

    def fingerprint(self) -> bytes:
        """
        The SHA-256 of the certificate, 32 bytes.

        Raises:
            FileMissingError: There is no such file.
            SpecError: It cannot be read, or holds no certificate.
        """
        if found := _FINGERPRINT.fullmatch(self.certificate):
            return bytes.fromhex(found[1])
        from cryptography import x509
        from cryptography.hazmat.primitives.serialization import Encoding

        path = expanded(self.certificate)
        try:
            with path.open("rb") as file:
                data = file.read(LARGEST_CERTIFICATE_BYTES + 1)
        except FileNotFoundError:
            raise FileMissingError(f"The certificate {path} does not exist.") from None
        except OSError as error:
            raise SpecError(f"The certificate {path} cannot be read: {error.strerror}.") from None
        try:
            if len(data) > LARGEST_CERTIFICATE_BYTES:
                raise ValueError
            certificate = x509.load_pem_x509_certificate(data)
        except ValueError:
            raise SpecError(
                f"{path} holds no certificate in PEM form: it begins with "
                "-----BEGIN CERTIFICATE-----."
            ) from None
        return hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest()

    @classmethod
    def _from_proto(cls, message: application_pb2.ClientGrant) -> ClientGrant:
        return as_said(
            cls,
            certificate=f"sha256:{message.certificate_sha256.hex()}",
            role=Role(message.role),
        )

    def _to_proto(self) -> application_pb2.ClientGrant:
        from knit.v1 import application_pb2

        return application_pb2.ClientGrant(
            certificate_sha256=self.fingerprint(),
            role=application_pb2.Role.ValueType(self.role),
        )


def to_grants(value: Iterable[ClientGrant]) -> tuple[ClientGrant, ...]:
    """The grants in a list; raises SpecError where it holds anything else, or too many."""
    if isinstance(value, (str, ClientGrant)) or not isinstance(value, Iterable):
        raise SpecError(f"client_grants is {value!r}: give a list of knit.ClientGrant.")
    grants = tuple(value)
    for index, grant in enumerate(grants):
        if not isinstance(grant, ClientGrant):
            raise at(
                (index,), f"{grant!r} is none: give a knit.ClientGrant.", below="client_grants"
            )
    if len(grants) > MOST_GRANTS:
        raise SpecError(f"client_grants has {len(grants)} entries: give {MOST_GRANTS} at most.")
    return grants
