"""Words to find an application by, as YARN takes them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from knit._values.places import at
from knit.exceptions import SpecError

MOST_TAGS = 10
"""YARN takes no more."""
_TAG = r"[!-+\--~]{1,100}"
TAGS_SCHEMA: Mapping[str, Any] = {
    "type": "array",
    "items": {"type": "string", "pattern": f"^{_TAG}$"},
    "maxItems": MOST_TAGS,
}


def to_tags(value: Iterable[str]) -> tuple[str, ...]:
    """The tags in a list, each once; raises SpecError where it holds anything else."""
    if isinstance(value, str):
        raise SpecError(f"tags is the text {value!r}: give a list.")
    if isinstance(value, Mapping) or not isinstance(value, Iterable):
        raise SpecError(f"tags is {value!r}: give a list.")
    found = tuple(value)
    if len(found) > MOST_TAGS:
        raise SpecError(f"tags has {len(found)} entries, and YARN takes {MOST_TAGS} at most.")
    for index, tag in enumerate(found):
        if not isinstance(tag, str) or not re.fullmatch(_TAG, tag):
            raise at(
                (index,),
                f"The tag {tag!r} is not one: YARN takes 1 to 100 ASCII characters, neither "
                "spaces nor commas.",
                below="tags",
            )
    return tuple(dict.fromkeys(found))
