"""Points in time, as YARN takes them."""

from __future__ import annotations

from datetime import datetime, timezone


def expiry_text(expiry: datetime) -> str:
    """ISO 8601, to a millisecond, in UTC."""
    time = expiry.astimezone(timezone.utc)
    return f"{time:%Y-%m-%dT%H:%M:%S}.{time.microsecond // 1000:03d}+0000"
