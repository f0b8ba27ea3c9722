"""
Messages of Hadoop's protocols, as far as knit reads and writes them.

They are written as text, in a small part of the language of protocol buffers, and become classes
in a pool of our own and under names of our own, when they are first used: so no package that
declares Hadoop's stands in the way of ours, or ours in its.
"""

from __future__ import annotations

import functools
import re
from typing import Any

_SCALARS = ("bool", "bytes", "float", "int32", "int64", "sint32", "string", "uint32", "uint64")
_MESSAGE = re.compile(r"message (\w+) \{([^}]*)\}")
_FIELD = re.compile(r"(optional|repeated) (\w+) (\w+) = (\d+);")


class Schema:
    """
    Messages that refer to each other.

    Enumerations are written as `int32`, which looks the same on the wire, so a value that was
    added later is a number like any other. What Hadoop calls `required` is optional here: a field
    that is set is sent, zero or not.

    Args:
        name: Of the file that these messages would be in; none other has it.
        text: `message Name { optional string field = 1; … }`, and nothing else.
    """

    def __init__(self, name: str, text: str) -> None:
        self._name = name
        self._text = text

    def new(self, message: str, /, **fields: Any) -> Any:
        """A message with these fields; those that are None are left out."""
        given = {name: value for name, value in fields.items() if value is not None}
        return self._classes[message](**given)

    def read(self, message: str, data: bytes) -> Any:
        """
        A message that came.

        Raises:
            google.protobuf.message.DecodeError: It is none.
        """
        return self._classes[message].FromString(data)

    @functools.cached_property
    def _classes(self) -> dict[str, Any]:
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

        package = f"knit.internal.{self._name}"
        file = descriptor_pb2.FileDescriptorProto(
            name=f"knit/internal/{self._name}.proto", package=package, syntax="proto2"
        )
        kind_of = descriptor_pb2.FieldDescriptorProto.Type.Value
        label_of = descriptor_pb2.FieldDescriptorProto.Label.Value
        for message, body in _MESSAGE.findall(self._text):
            made = file.message_type.add(name=message)
            for label, kind, name, number in _FIELD.findall(body):
                is_scalar = kind in _SCALARS
                made.field.add(
                    name=name,
                    number=int(number),
                    label=label_of(f"LABEL_{label.upper()}"),
                    type=kind_of(f"TYPE_{kind.upper()}" if is_scalar else "TYPE_MESSAGE"),
                    type_name=None if is_scalar else f".{package}.{kind}",
                )
        pool = descriptor_pool.DescriptorPool()
        pool.Add(file)
        named = pool.FindFileByName(file.name).message_types_by_name
        return {name: message_factory.GetMessageClass(named[name]) for name in named}
