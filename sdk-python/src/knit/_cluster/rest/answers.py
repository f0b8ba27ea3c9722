"""An answer of a daemon, read to its end."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import attrs


@attrs.frozen
class Response:
    """An answer, read to its end."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes = attrs.field(repr=False)

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


def plain(url: str) -> str:
    """The URL without its query, which may say more than a message should."""
    return url.partition("?")[0]


def http_time(value: str | None) -> datetime | None:
    """What a `Date` header says; None if nothing."""
    try:
        found = parsedate_to_datetime(value) if value else None
    except ValueError:
        return None
    # One that says -0000, for no time zone, is in UTC all the same.
    return found if found is None or found.tzinfo else found.replace(tzinfo=timezone.utc)


def base_of(url: str) -> str:
    """`scheme://host:port` of a URL."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
