"""What is waited for between tries is not what tests of streams are about."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from knit._handles import log_stream
from knit._values.deadlines import pauses


@pytest.fixture(autouse=True, scope="module")
def _quick_retries() -> Iterator[None]:
    """What is waited for between tries is not what these tests are about."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_stream, "pauses", lambda *_: pauses(0.01, 0.1))
        yield
