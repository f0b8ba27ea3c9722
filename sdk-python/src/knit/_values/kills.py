"""What came of an application that was to be killed."""

from __future__ import annotations

import attrs

from knit._values.reports import ApplicationReport
from knit.exceptions import KnitError


@attrs.frozen(kw_only=True)
class KillResult:
    """What came of one of several applications that were to be killed."""

    application_id: str
    """Which one."""
    report: ApplicationReport | None = None
    """Its last report, of one that has ended, now or before. None if it failed."""
    error: KnitError | None = None
    """Why not, or why that is not known. None if it has ended."""
