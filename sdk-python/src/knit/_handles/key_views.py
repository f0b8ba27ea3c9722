"""What a key-value store has of keys side by side, and its views as a mapping."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, ValuesView
from datetime import timedelta
from typing import TYPE_CHECKING

from knit._handles.session import Session
from knit._values.kv import Key, KeyValue, key_range
from knit._wire.calls import kv as calls
from knit._wire.page_tokens import PageTokens

if TYPE_CHECKING:
    from knit.v1 import key_value_pb2


class Ranges:
    """The part of `KeyValueStore` that reads keys side by side."""

    _session: Session

    def range(
        self,
        start: Key | None = None,
        end: Key | None = None,
        *,
        prefix: Key | None = None,
        keys_only: bool = False,
        descending: bool = False,
        limit: int | None = None,
        timeout: timedelta | None = None,
    ) -> Iterator[KeyValue]:
        """
        Reads keys in order, a page at a time, as they are wanted.

        Each page is consistent in itself. Where the Application Master is started anew between
        two pages, the keys that had not come are gone, and HistoryLostError says so.

        Args:
            start: The first key. Default: the first there is.
            end: The first key after them. Default: to the last there is.
            prefix: Instead of both: all keys that begin so.
            keys_only: Whether the values are left out.
            descending: From the last to the first.
            limit: How many at most. Default: all.
            timeout: For each page. Default: the client's.
        """
        keys = key_range(start, end, prefix)
        return self._range(keys, keys_only, descending, limit, timeout)

    def _range(
        self,
        keys: key_value_pb2.KeyRange,
        keys_only: bool,
        descending: bool,
        limit: int | None,
        timeout: timedelta | None,
    ) -> Iterator[KeyValue]:
        token, left = "", limit
        tokens = PageTokens(f"Reading keys of {self._session.application_id}")
        while left is None or left > 0:
            page = self._page(
                keys,
                keys_only=keys_only,
                descending=descending,
                page_size=left or 0,
                page_token=token,
                timeout=timeout,
            )
            yield from page.key_values[:left]
            token = page.next_page_token
            tokens.note(token, len(page.key_values))
            if not token:
                return
            if left is not None:
                left -= len(page.key_values)

    def count(
        self,
        start: Key | None = None,
        end: Key | None = None,
        *,
        prefix: Key | None = None,
        timeout: timedelta | None = None,
    ) -> int:
        """Returns how many keys lie from `start` to before `end`, or begin with `prefix`."""
        page = self._page(key_range(start, end, prefix), count_only=True, timeout=timeout)
        return page.count

    def _page(
        self,
        keys: key_value_pb2.KeyRange,
        *,
        keys_only: bool = False,
        count_only: bool = False,
        descending: bool = False,
        page_size: int = 0,
        page_token: str = "",
        timeout: timedelta | None = None,
    ) -> calls.KeyPage:
        call = calls.read_range(
            self._session.application_id,
            keys,
            keys_only=keys_only,
            count_only=count_only,
            descending=descending,
            page_size=page_size,
            page_token=page_token,
        )
        return self._session.call(call, timeout)


class Keys(KeysView[str]):
    """The keys of a store."""


class Items(ItemsView[str, bytes]):
    """The keys of a store with their values."""

    _mapping: Ranges

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        return ((found.key, found.value) for found in self._mapping.range())


class Values(ValuesView[bytes]):
    """The values of a store."""

    _mapping: Ranges

    def __iter__(self) -> Iterator[bytes]:
        return (found.value for found in self._mapping.range())

    def __contains__(self, value: object) -> bool:
        return any(found == value for found in self)
