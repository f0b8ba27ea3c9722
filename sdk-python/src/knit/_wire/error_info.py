"""
Why an Application Master refused, as it says beside a call's status: a reason and its facts.

They come as `google.rpc.Status` with one `google.rpc.ErrorInfo`. The few fields that matter are
declared here, in a pool of our own and under names of our own: so knit needs none of the packages
that declare them as well, and stands in nobody's way who has them.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    import grpc

DETAILS_KEY = "grpc-status-details-bin"
DOMAIN = "knit"
_ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"


@attrs.frozen(kw_only=True)
class ErrorInfo:
    """What a program can tell a refusal by."""

    reason: str | None = None
    """Such as `NO_SUCH_KEY`. None where the server says none, as one of knit 1.0."""
    facts: Mapping[str, str] = MappingProxyType({})
    """Names and numbers of the sentence, by name."""


def error_info(error: grpc.RpcError) -> ErrorInfo:
    """What came beside the status of a failed call; nothing where nothing of ours did."""
    trailers = getattr(error, "trailing_metadata", lambda: None)() or ()
    data = next((value for key, value in trailers if key == DETAILS_KEY), None)
    return ErrorInfo() if not isinstance(data, bytes) else read(data)


def read(data: bytes) -> ErrorInfo:
    """
    Reads the details of a status.

    They may have come from a proxy or another program, so what cannot be read says nothing.
    """
    from google.protobuf.message import DecodeError

    status, info = _messages()
    try:
        for detail in status.FromString(data).details:
            if detail.type_url == _ERROR_INFO:
                found = info.FromString(detail.value)
                if found.domain == DOMAIN and found.reason:
                    return ErrorInfo(reason=found.reason, facts=dict(found.metadata))
    except DecodeError:
        pass
    return ErrorInfo()


def write(code: int, message: str, info: ErrorInfo) -> bytes:
    """The details of a status, as an Application Master sends them; for the fake one."""
    status, info_message = _messages()
    inner = info_message(reason=info.reason or "", domain=DOMAIN, metadata=dict(info.facts))
    details = [{"type_url": _ERROR_INFO, "value": inner.SerializeToString()}]
    data: bytes = status(code=code, message=message, details=details).SerializeToString()
    return data


@functools.cache
def _messages() -> tuple[Any, Any]:
    """The classes of a status and of what it carries."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="knit/internal/status.proto", package="knit.internal", syntax="proto3"
    )

    def message(parent: Any, name: str, *fields: tuple[str, int, int, str]) -> Any:
        made = parent.add(name=name)
        for number, (field_name, kind, label, type_name) in enumerate(fields, start=1):
            made.field.add(
                name=field_name, number=number, type=kind, label=label, type_name=type_name or None
            )
        return made

    text, one, many = field.TYPE_STRING, field.LABEL_OPTIONAL, field.LABEL_REPEATED
    message(
        file.message_type,
        "Status",
        ("code", field.TYPE_INT32, one, ""),
        ("message", text, one, ""),
        ("details", field.TYPE_MESSAGE, many, ".knit.internal.Detail"),
    )
    message(
        file.message_type,
        "Detail",
        ("type_url", text, one, ""),
        ("value", field.TYPE_BYTES, one, ""),
    )
    info = message(
        file.message_type,
        "ErrorInfo",
        ("reason", text, one, ""),
        ("domain", text, one, ""),
        ("metadata", field.TYPE_MESSAGE, many, ".knit.internal.ErrorInfo.MetadataEntry"),
    )
    entry = message(
        info.nested_type, "MetadataEntry", ("key", text, one, ""), ("value", text, one, "")
    )
    entry.options.map_entry = True
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    named = pool.FindFileByName(file.name).message_types_by_name
    return (
        message_factory.GetMessageClass(named["Status"]),
        message_factory.GetMessageClass(named["ErrorInfo"]),
    )
