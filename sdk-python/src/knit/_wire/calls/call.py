"""
What a call is, as a value.

Nothing in this package sends or waits. `Connection.call` does that for a program that blocks;
whoever does it in another way needs the same values and no more.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar

import attrs

from knit._wire.page_tokens import PageTokens

if TYPE_CHECKING:
    from google.protobuf.message import Message

_T = TypeVar("_T")

ServiceName = Literal["application", "containers", "events", "kv", "logs"]
"""The gRPC services of the contract, by their fields in `Stubs`."""


@attrs.frozen(kw_only=True)
class Call(Generic[_T]):
    """One call that is answered once."""

    service: ServiceName
    method: str
    request: Message
    what: str
    """What is tried, as the beginning of a sentence."""
    read: Callable[[Any], _T]
    """Makes of the answer what it means."""
    is_repeatable: bool = True
    """Whether it may be made again after it was cut off."""


def new_request_id() -> str:
    """What tells a wish from the same wish once more."""
    return uuid.uuid4().hex


class Page(Protocol):
    """What all lists answer."""

    next_page_token: str
    history_id: str
    sequence: int


class PagedRequest(Protocol):
    """What all lists are asked."""

    page_token: str


class Pages(Generic[_T]):
    """
    A list that comes in pages.

    Where another Application Master answers than sent the page before, it comes from the
    beginning.

    Args:
        service: Of the contract.
        method: Of the service.
        request: What is wanted.
        what: What is tried, as the beginning of a sentence.
        read: Makes values of a page.
    """

    def __init__(
        self,
        service: ServiceName,
        method: str,
        request: Any,
        *,
        what: str,
        read: Callable[[Any], Iterable[_T]],
    ) -> None:
        self._service: ServiceName = service
        self._method = method
        self._request = request
        self._what = what
        self._read = read
        self._tokens = PageTokens(what)
        self.history_id = ""
        """Which Application Master's list it is."""
        self.sequence = 0
        """At which the first page was so: a watch begins after it."""
        self.items: list[_T] = []
        """Those that have come."""
        self.is_complete = False
        """Whether these are all."""

    def next_call(self) -> Call[Any]:
        """Asks for the next page, whose answer is for `accept`."""
        return Call(
            service=self._service,
            method=self._method,
            request=self._request,
            what=self._what,
            read=lambda page: page,
        )

    def accept(self, page: Page) -> None:
        """Takes note of a page."""
        if page.history_id != self.history_id and self.begin_anew():
            return
        if not self._request.page_token:
            self.history_id, self.sequence = page.history_id, page.sequence
        read = list(self._read(page))
        self._tokens.note(page.next_page_token, len(read))
        self.items += read
        self._request.page_token = page.next_page_token
        self.is_complete = not page.next_page_token

    def begin_anew(self) -> bool:
        """Forgets what has come, as when a page is refused. False if nothing had come yet."""
        if not self._request.page_token:
            return False
        self._request.page_token = ""
        self.items.clear()
        self._tokens = PageTokens(self._what)
        return True
