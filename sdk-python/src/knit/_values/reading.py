"""Values of what an Application Master says, which is read and not refused."""

from __future__ import annotations

from typing import TypeVar, cast

import attrs

_T = TypeVar("_T")


def as_said(cls: type[_T], **values: object) -> _T:
    """
    A value of a class that checks what users write, without its checks.

    Another client may have submitted what this version would refuse, and it runs all the same.
    Fields that are not given have their defaults.
    """
    value = object.__new__(cls)
    for field in attrs.fields(cast("type[attrs.AttrsInstance]", cls)):
        if field.name in values:
            given = values[field.name]
        else:
            make = getattr(field.default, "factory", None)
            given = field.default if make is None else make()
        object.__setattr__(value, field.name, given)
    return value
