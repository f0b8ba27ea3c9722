"""What the file system knows of files and directories."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

import attrs


@attrs.frozen(kw_only=True)
class FileStatus:
    """What the file system knows of a file or directory."""

    path: str
    """Absolute, without the file system's address."""
    is_directory: bool
    size_bytes: int
    modify_time_ms: int
    """Milliseconds since 1970, as YARN compares it."""
    access_time_ms: int
    """The same; 0 where the cluster does not record it."""
    owner: str
    group: str
    permission: str
    """Octal, such as `644`."""

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def modify_time(self) -> datetime:
        return datetime.fromtimestamp(self.modify_time_ms / 1000, timezone.utc)


@attrs.frozen(kw_only=True)
class ContentSummary:
    """What lies below a directory, and its quotas."""

    size_bytes: int
    """Without replication."""
    space_consumed_bytes: int
    """With it."""
    file_count: int
    directory_count: int
    name_quota: int | None
    space_quota_bytes: int | None


def file_status(path: str, data: Mapping[str, Any]) -> FileStatus:
    return FileStatus(
        path=path,
        is_directory=data.get("type") == "DIRECTORY",
        size_bytes=int(data.get("length", 0)),
        modify_time_ms=int(data.get("modificationTime", 0)),
        access_time_ms=int(data.get("accessTime", 0)),
        owner=str(data.get("owner", "")),
        group=str(data.get("group", "")),
        permission=str(data.get("permission", "")),
    )


def join(directory: str, name: str) -> str:
    return f"{directory.rstrip('/')}/{name}" if name else directory


def to_quota(value: object) -> int | None:
    return int(value) if isinstance(value, int | str) and int(value) >= 0 else None
