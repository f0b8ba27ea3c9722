"""
Objects as Java serializes them, as far as plain data goes.

Follows the grammar of the Java Object Serialization Specification, section 6.4.2. Nothing is
constructed: an object comes out as the name of its class, its fields, and what its class wrote
beside them.
"""

from __future__ import annotations

from typing import Any

import attrs

from knit._cluster.logs.reading import ByteReader, MalformedError, java_text

_MAGIC_AND_VERSION = bytes.fromhex("aced0005")
_NULL, _REFERENCE, _CLASS_DESCRIPTION, _END_OF_BLOCK = 0x70, 0x71, 0x72, 0x78
_FIRST_HANDLE = 0x7E0000
_HAS_WRITE_METHOD, _SERIALIZABLE, _EXTERNALIZABLE, _BLOCK_DATA = 1, 2, 4, 8
_NUMBERS = {"B": "b", "S": "h", "I": "i", "J": "q", "C": "H", "Z": "?"}
_DEEPEST = 200


@attrs.frozen
class _Description:
    """What a stream says of a class."""

    name: str
    flags: int
    fields: list[tuple[str, str]]
    """Type and name of each."""
    parent: _Description | None


@attrs.define
class JavaObject:
    """An object, an enum's constant (with `name` among its fields), or an array."""

    class_name: str
    fields: dict[str, Any] = attrs.field(factory=dict)
    """Its fields and its parents'."""
    written: list[Any] = attrs.field(factory=list)
    """What its class wrote by itself: objects, and raw data as bytes."""

    def items(self) -> list[Any]:
        """The members of a list."""
        return [each for each in self.written if not isinstance(each, bytes)]

    def entries(self) -> list[tuple[Any, Any]]:
        """The entries of a map."""
        flat = self.items()
        return list(zip(flat[::2], flat[1::2], strict=False))


def deserialize(data: bytes) -> Any:
    """
    The first object of a stream: a JavaObject, a str, or None.

    Raises:
        MalformedError: It is not one, or has something that plain data does not.
    """
    return _Stream(data).first()


class _Stream:
    def __init__(self, data: bytes) -> None:
        self._reader = ByteReader.over(data)
        self._handles: list[Any] = []
        self._depth = 0

    def first(self) -> Any:
        if self._reader.read(4) != _MAGIC_AND_VERSION:
            raise MalformedError("its index is not a serialized Java object")
        return self._content(self._reader.unpack("B"))

    def _content(self, code: int) -> Any:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise MalformedError("its index has objects within objects without end")
        try:
            return self._content_at_this_depth(code)
        finally:
            self._depth -= 1

    def _content_at_this_depth(self, code: int) -> Any:
        match code:
            case 0x70:
                return None
            case 0x71:
                return self._referenced()
            case 0x72:
                return self._description_of(code)
            case 0x73:
                return self._object()
            case 0x74:
                return self._handle(self._utf(self._reader.unpack("H")))
            case 0x75:
                return self._array()
            case 0x76:
                return self._handle(self._description())
            case 0x77:
                return self._reader.read(self._reader.unpack("B"))
            case 0x7A:
                return self._reader.read(self._reader.unpack("i"))
            case 0x7C:
                return self._handle(self._utf(self._reader.unpack("q")))
            case 0x7E:
                return self._enum()
        raise MalformedError(f"its index has a {code:#x} where an object should begin")

    def _utf(self, size: int) -> str:
        return java_text(self._reader.read(size))

    def _handle(self, value: Any) -> Any:
        self._handles.append(value)
        return value

    def _referenced(self) -> Any:
        number = self._reader.unpack("i") - _FIRST_HANDLE
        if not 0 <= number < len(self._handles):
            raise MalformedError(f"its index refers to an object {number} that is not there")
        return self._handles[number]

    def _description(self) -> _Description | None:
        return self._description_of(self._reader.unpack("B"))

    def _description_of(self, code: int) -> _Description | None:
        if code == _NULL:
            return None
        if code == _REFERENCE:
            found = self._referenced()
            if not isinstance(found, _Description):
                raise MalformedError("its index has something else where a class should be")
            return found
        if code != _CLASS_DESCRIPTION:
            raise MalformedError(f"its index has a {code:#x} where a class should be")
        name = self._reader.java_utf()
        self._reader.skip(8)  # the version of the class
        place = len(self._handles)
        self._handles.append(None)
        flags, fields = self._reader.unpack("B"), []
        for _ in range(self._reader.unpack("H")):
            kind = chr(self._reader.unpack("B"))
            fields.append((kind, self._reader.java_utf()))
            if kind in "[L":
                self._content(self._reader.unpack("B"))  # the name of its type
        self._written()
        # The handle of a class is taken before its parent's, whose description comes last.
        description = _Description(name, flags, fields, self._description())
        self._handles[place] = description
        return description

    def _written(self) -> list[Any]:
        """Up to the end of what a class wrote by itself."""
        found = []
        while (code := self._reader.unpack("B")) != _END_OF_BLOCK:
            found.append(self._content(code))
        return found

    def _object(self) -> JavaObject:
        description = self._description()
        if description is None:
            raise MalformedError("its index has an object without a class")
        made: JavaObject = self._handle(JavaObject(description.name))
        lineage = []
        ancestor: _Description | None = description
        while ancestor is not None:
            lineage.append(ancestor)
            ancestor = ancestor.parent
        for each in reversed(lineage):
            if each.flags & _EXTERNALIZABLE:
                if not each.flags & _BLOCK_DATA:
                    raise MalformedError(f"its index has a {each.name}, in a form of its own")
                made.written += self._written()
                continue
            for kind, name in each.fields:
                made.fields[name] = self._value(kind)
            if each.flags & _HAS_WRITE_METHOD:
                made.written += self._written()
        return made

    def _value(self, kind: str) -> Any:
        if kind in "[L":
            return self._content(self._reader.unpack("B"))
        if kind in "FD":
            return self._reader.read(4 if kind == "F" else 8)  # nobody needs it as a number
        if kind not in _NUMBERS:
            raise MalformedError(f"its index has a field of the type {kind!r}")
        return self._reader.unpack(_NUMBERS[kind])

    def _array(self) -> JavaObject:
        description = self._description()
        name = description.name if description is not None else ""
        made: JavaObject = self._handle(JavaObject(name))
        size = self._reader.unpack("i")
        made.written = [self._value(name[1:2]) for _ in range(size)]
        return made

    def _enum(self) -> JavaObject:
        description = self._description()
        made: JavaObject = self._handle(JavaObject(description.name if description else ""))
        made.fields["name"] = self._content(self._reader.unpack("B"))
        return made
