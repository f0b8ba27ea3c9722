"""Lists a page at a time, as the fake Application Master of `knit.testing` answers them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TypeVar

from knit.testing._refusals import history_lost, invalid
from knit.testing._state import FakeState

_T = TypeVar("_T")


def page_of(
    state: FakeState, method: str, items: Sequence[_T], token: str, size: int, most: int
) -> tuple[Sequence[_T], str]:
    """
    A part of a list, and the token of the next one; empty after the last.

    Real pages go on by key. Here the list is what it was, unless something was added or has gone
    in between, so a number does.
    """
    if size < 0:
        raise invalid("page_size is negative.")
    begin = _begin(state, method, token) if token else 0
    end = begin + min(size or most, most)
    following = json.dumps([state.history_id, method, end]) if end < len(items) else ""
    return items[begin:end], following


def _begin(state: FakeState, method: str, token: str) -> int:
    try:
        history_id, of, begin = json.loads(token)
    except (ValueError, TypeError):
        raise invalid("page_token is none of this call's.") from None
    if of != method:
        raise invalid("page_token is none of this call's.")
    if history_id != state.history_id:
        raise history_lost()
    return int(begin)
