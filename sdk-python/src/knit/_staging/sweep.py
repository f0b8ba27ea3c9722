"""Clears up in `.knit` behind applications that have ended, and uploads that broke."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from knit._cluster.hdfs.statuses import FileStatus
from knit._cluster.yarn.application_filter import ApplicationFilter
from knit._cluster.yarn.resource_manager import ResourceManager
from knit._staging.directory import FILE_PERMISSION, StagingDirectory
from knit._staging.staging import Staging
from knit._staging.uploads import USE_MARK
from knit._values.identifiers import APPLICATION_ID, application_key
from knit._values.reports import ApplicationReport
from knit.exceptions import ApplicationNotFoundError, ClusterResponseError, StandbyError

#: An entry of the cache that nobody used for so long, and no application names, is removed.
CACHE_LIFETIME = timedelta(days=30)
#: What a broken upload left behind is removed after this time.
PART_LIFETIME = timedelta(days=1)
#: The directory of an application that another ResourceManager may know is left for so long.
STRANGERS_LIFETIME = timedelta(days=30)
#: Of one's own that lives, the directory's age is renewed so often, for other clusters' clients.
RENEWAL = timedelta(days=1)
#: An Application Master has left so long after its application ended, whatever its linger.
LEAVING_TIME = timedelta(minutes=10)
#: An ID so much older than ours that YARN does not know is not about to be submitted.
IDS_IN_FLIGHT = 100
#: One sweep looks at all there is, so of many submissions one an hour is enough.
INTERVAL = timedelta(hours=1)


class Sweep:
    """
    One look at everything in a user's `.knit`.

    Several clusters may share the directory. What this one's ResourceManager does not know may
    be running under another, so it is left to that one's clients: its record says whose it is.

    Args:
        staging: The directory.
        resource_manager: Who knows what has ended.
        newest: The latest ID there is.
        stopped: Whether to end early.
    """

    def __init__(
        self,
        staging: Staging,
        resource_manager: ResourceManager,
        *,
        newest: str,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self._directory = staging.directory
        self._records = staging.records
        self._resource_manager = resource_manager
        self._newest = newest
        self._stopped = stopped

    @staticmethod
    def claim(directory: StagingDirectory, interval: timedelta = INTERVAL) -> bool:
        """Whether the last sweep, by whatever client, is so long ago; then this one counts."""
        mark = f"{directory.root}/swept"
        last = directory.files.find(mark)
        if last is not None and directory.is_within(interval, last.modify_time_ms):
            return False
        directory.files.create(mark, b"", permission=FILE_PERMISSION, overwrite=True)
        return True

    def run(self) -> list[str]:
        """Removes what nobody needs any more, and returns the paths."""
        removed, kept = self._applications()
        removed += self._cache(kept)
        return removed

    def _applications(self) -> tuple[list[str], list[str]]:
        """What was removed, and the IDs of what stays."""
        removed, kept = [], []
        # Listed first: what is listed here was submitted, or is about to be, when YARN is asked.
        entries = self._directory.entries("applications")
        known = self._known() if entries else {}
        for entry in entries:
            if not self._stopped() and self._is_over(entry, known.get(entry.name)):
                self._records.remove(entry.name)
                removed.append(entry.path)
            else:
                kept.append(entry.name)
        return removed, kept

    def _known(self) -> dict[str, ApplicationReport]:
        info = self._resource_manager.cluster_info()
        if not info.is_active:
            # It has yet to load its applications, and would seem to know none.
            raise StandbyError(f"The ResourceManager at {info.url} is still starting.")
        reports = self._resource_manager.applications(
            ApplicationFilter(user=self._directory.files.user)
        )
        return {report.application_id: report for report in reports}

    def _is_over(self, entry: FileStatus, report: ApplicationReport | None) -> bool:
        """Whether nobody needs the staging directory of an application any more."""
        if not APPLICATION_ID.fullmatch(entry.name):
            return False
        if report is None:
            return self._is_forgotten(entry)
        if report.state.is_final:
            ended = report.finish_time
            return ended is None or self._yarn_now() - ended > LEAVING_TIME
        if self._age(entry) > RENEWAL:
            self._records.renew(entry.name)
        return False

    def _is_forgotten(self, entry: FileStatus) -> bool:
        try:
            whose = self._records.read(entry.name).resource_manager
        except (ApplicationNotFoundError, ClusterResponseError):
            whose = None
        if whose is None or whose != self._records.resource_manager:
            return self._age(entry) > STRANGERS_LIFETIME
        if _is_in_flight(entry.name, self._newest):
            return False
        try:
            # The list may have been made for somebody who may not see it, or before it was there.
            self._resource_manager.application(entry.name)
        except ApplicationNotFoundError:
            return True
        return False

    def _cache(self, applications: Iterable[str]) -> list[str]:
        entries = {entry.name: entry for entry in self._directory.entries("cache")}
        stale = [entry for entry in entries.values() if self._is_stale(entry, entries)]
        if any(not _is_part(entry) for entry in stale):
            used = self._used(applications)
            if used is None:
                # What one of them uses is not known, so nothing can be told to be unused.
                stale = [entry for entry in stale if _is_part(entry)]
            else:
                stale = [e for e in stale if e.name.removesuffix(USE_MARK) not in used]
        removed = []
        for entry in stale:
            if self._stopped():
                break
            # Somebody may have come to use it since the list was made.
            if self._is_still_stale(entry.name) and self._directory.files.delete(entry.path):
                removed.append(entry.path)
        return removed

    def _used(self, applications: Iterable[str]) -> set[str] | None:
        used: set[str] = set()
        for application_id in applications:
            try:
                used.update(self._records.read(application_id).cache)
            except ApplicationNotFoundError:  # noqa: PERF203
                continue
            except ClusterResponseError:
                return None
        return used

    def _find_in_cache(self, *names: str) -> dict[str, FileStatus]:
        """Those of these entries that are there."""
        directory = self._directory
        found = {name: directory.files.find(f"{directory.root}/cache/{name}") for name in names}
        return {name: status for name, status in found.items() if status is not None}

    def _is_still_stale(self, name: str) -> bool:
        found = self._find_in_cache(name, name + USE_MARK)
        return name in found and self._is_stale(found[name], found)

    def _is_stale(self, entry: FileStatus, entries: dict[str, FileStatus]) -> bool:
        times = [entry, entries.get(entry.name + USE_MARK, entry)]
        age = min(map(self._age, times))
        return age > (PART_LIFETIME if _is_part(entry) else CACHE_LIFETIME)

    def _age(self, entry: FileStatus) -> timedelta:
        """Since its last use. An upload under way has the time of its begin."""
        last_ms = max(entry.access_time_ms, entry.modify_time_ms)
        return timedelta(milliseconds=self._directory.now_ms() - last_ms)

    def _yarn_now(self) -> datetime:
        return self._resource_manager.now()


class Sweeping:
    """
    Sweeps now and then, beside whatever else a client does.

    Once an hour for each user, whichever client it is: several would only do the same again.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next = float("-inf")
        self._thread: threading.Thread | None = None

    def begin(self, act: Callable[[], object]) -> None:
        """Runs this in a thread of its own, unless that was done a short time ago."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            if time.monotonic() < self._next:
                return
            self._next = time.monotonic() + INTERVAL.total_seconds()
            self._thread = threading.Thread(target=act, name="knit-sweep", daemon=True)
            self._thread.start()
        finally:
            self._lock.release()

    def wait(self, timeout: timedelta) -> None:
        """Waits for the one that is under way: a program that submits and ends would never."""
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout.total_seconds())


def _is_part(entry: FileStatus) -> bool:
    return entry.name.startswith(".") and entry.name.endswith(".part")


def _is_in_flight(other: str, newest: str) -> bool:
    """Whether an application that YARN does not know may be about to be submitted."""
    (epoch, number), (new_epoch, new_number) = map(application_key, (other, newest))
    return epoch == new_epoch and number > new_number - IDS_IN_FLIGHT
