"""What is staged, and what is written down of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

import attrs

LocalResourceType = Literal["FILE", "ARCHIVE"]
LocalResourceVisibility = Literal["PRIVATE", "APPLICATION", "PUBLIC"]


@attrs.frozen(kw_only=True)
class StagedFile:
    """A file that containers are to find, wherever it is now."""

    source: Path | str
    """A path of this machine, or the URL of a file on the cluster, which is used in place."""
    archive: bool = False
    """Whether the node unpacks it."""
    visibility: LocalResourceVisibility = "PRIVATE"
    """Who shares the node's copy."""
    shown: str | None = None
    """What to call it in reports, where `source` was only made to be sent."""


@attrs.frozen(kw_only=True)
class LocalResource:
    """What YARN has to know of a file to bring it to a node."""

    url: str
    size_bytes: int
    modify_time_ms: int
    """Milliseconds since 1970. YARN refuses the file if it differs by one."""
    type: LocalResourceType = "FILE"
    visibility: LocalResourceVisibility = "PRIVATE"

    @property
    def name(self) -> str:
        """The last part of the URL; in the cache, the name of the entry."""
        return unquote(urlsplit(self.url).path).rpartition("/")[2]


@attrs.frozen(kw_only=True)
class StagingProgress:
    """How far the uploads are."""

    file: str
    """What this report is about: a path of this machine."""
    sent_bytes: int
    """Of all files so far."""
    total_bytes: int
    """Of all files that have to be sent and are known by now; it grows while files are hashed."""
    cached: bool
    """Whether this file was on the cluster already."""


ProgressCallback = Callable[[StagingProgress], None]
"""Called from several threads, one at a time."""


@attrs.frozen(kw_only=True)
class KeyPair:
    """A certificate and its private key, as PEM texts."""

    cert: str
    key: str = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class ConnectionKeys:
    """PEM texts with which a client of an application proves that it is one."""

    ca: str
    client_cert: str
    """The owner's."""
    client_key: str = attrs.field(repr=False)
    others: Mapping[str, KeyPair] = attrs.field(factory=dict)
    """What the owner may give to others, by role."""


@attrs.frozen(kw_only=True)
class StoredApplication:
    """What `application.json` holds."""

    cache: tuple[str, ...]
    """Names of the entries in the cache that the application uses."""
    keys: ConnectionKeys | None
    resource_manager: str | None = None
    """Which ResourceManager knows it; None where an older version of knit submitted it."""
