"""What a forked process must not share with its parent."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Generic, TypeVar

_T = TypeVar("_T")


class PerProcess(Generic[_T]):
    """
    A value that a forked process makes anew when it is asked for first.

    Locks, and what has some, may have been held as it was forked, by threads that are not there.

    Args:
        make: Makes it; called at once, too.
    """

    def __init__(self, make: Callable[[], _T]) -> None:
        self._make = make
        self._owned = (os.getpid(), make())

    def get(self) -> _T:
        """This process's own."""
        owner, value = self._owned
        if owner != os.getpid():
            value = self._make()
            self._owned = (os.getpid(), value)
        return value
