"""What whoever submits an application writes on it, and is given back."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from knit._values.in_documents import Structure, described, each_of
from knit._values.places import at
from knit.exceptions import SpecError

LARGEST_ANNOTATIONS_BYTES = 64 * 1024
"""Of all annotations together, names and values."""
_BASE64 = "base64"

ANNOTATIONS_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "propertyNames": {"minLength": 1},
    "additionalProperties": {
        "anyOf": [
            {"type": "string"},
            {
                "type": "object",
                "properties": {
                    _BASE64: {
                        "type": "string",
                        "pattern": ("^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"),
                        "description": "Bytes, in base64.",
                    }
                },
                "required": [_BASE64],
                "additionalProperties": False,
            },
        ]
    },
}


def to_annotations(value: Mapping[str, bytes | str]) -> Mapping[str, bytes]:
    """
    Returns annotations, text as UTF-8.

    Raises:
        SpecError: They are no mapping of names to text or bytes, or more than 64 KiB.
    """
    if not isinstance(value, Mapping):
        raise SpecError("annotations is not a mapping of names to text or bytes.")
    found: dict[str, bytes] = {}
    size = 0
    for name, given in value.items():
        if not isinstance(name, str) or not name:
            raise SpecError(f"annotations has {name!r}, which is no name: give text.")
        if not isinstance(given, (str, bytes)):
            raise at((name,), "this is neither text nor bytes.", below="annotations")
        try:
            found[name] = given.encode() if isinstance(given, str) else bytes(given)
            size += len(name.encode()) + len(found[name])
        except UnicodeEncodeError:
            raise at(
                (name,), "this is not valid Unicode, holding half a character.", below="annotations"
            ) from None
    if size > LARGEST_ANNOTATIONS_BYTES:
        raise SpecError(
            f"annotations has {size:,} bytes, names and values together: give "
            f"{LARGEST_ANNOTATIONS_BYTES:,} at most, and put more on the cluster's file system."
        )
    return found


def annotations_from_document(value: Any, _: Structure) -> Any:
    """Returns what `to_annotations` takes, from text, YAML's `!!binary`, or `{base64: …}`."""
    if not isinstance(value, Mapping):
        raise SpecError(f"{described(value)} is not a mapping of names to text.")
    return dict(zip(value, each_of(value, _from_document), strict=True))


def _from_document(_: Any, given: Any) -> Any:
    if not isinstance(given, Mapping):
        return given
    if set(given) != {_BASE64} or not isinstance(given[_BASE64], str):
        raise SpecError("a mapping here has one key, base64, and text: the bytes in that form.")
    try:
        return base64.b64decode(given[_BASE64], validate=True)
    except (binascii.Error, ValueError):
        raise at((_BASE64,), "this is not base64.", below="annotations") from None


def annotations_to_document(value: Mapping[str, bytes]) -> dict[str, Any]:
    """Text where it is that, else `{base64: …}`."""
    found: dict[str, Any] = {}
    for name, data in value.items():
        try:
            found[name] = data.decode()
        except UnicodeDecodeError:  # noqa: PERF203 - only now is it known
            found[name] = {_BASE64: base64.b64encode(data).decode()}
    return found
