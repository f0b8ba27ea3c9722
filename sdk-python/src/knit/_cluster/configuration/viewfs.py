"""
`viewfs://`: one tree of names over several file systems, by mount tables in the configuration.

Clients work it out, each for itself, and so do we: what YARN is told is always a file system that
is there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol
from urllib.parse import unquote, urlsplit

import attrs

from knit.exceptions import ConfigurationError

_PREFIX = "fs.viewfs.mounttable"
_DEFAULT_NAME_PROPERTY = f"{_PREFIX}.default.name.key"
_MEANT = {"link", "linkFallback", "linkMergeSlash", "homedir"}
#: Of what else Hadoop knows, why knit does not.
_REFUSED = {
    "linkNfly": "writes to several file systems at once",
    "linkRegex": "makes its links of patterns",
    "linkMerge": "lays several file systems over each other",
}


class Properties(Protocol):
    """Hadoop's properties, as far as mount tables need them."""

    @property
    def where(self) -> str:
        """Where they come from, for messages."""

    def get(self, name: str, default: str | None = None) -> str | None:
        """The value of one."""

    def names(self, prefix: str) -> Iterable[str]:
        """Those that begin so."""


@attrs.frozen
class MountTable:
    """What a `viewfs://` is made of."""

    name: str
    links: tuple[tuple[str, str], ...]
    """Path and target, the longest paths first; `/` for the whole of it."""
    fallback: str | None
    """Where the root of what no link leads to is."""
    home_prefix: str
    """What home directories lie in, as seen through it."""
    where: str

    def resolve(self, path: str) -> str:
        """
        The URL of what a path of it stands for.

        Raises:
            ConfigurationError: No link leads there, and there is no fallback.
        """
        path = "/" + "/".join(part for part in path.split("/") if part)
        for link, target in self.links:
            if path == link or path.startswith(link.rstrip("/") + "/"):
                return target.rstrip("/") + path.removeprefix(link.rstrip("/")).rstrip("/")
        if self.fallback is not None:
            return self.fallback.rstrip("/") + path
        known = ", ".join(sorted(link for link, _ in self.links)) or "none"
        raise ConfigurationError(
            f"{path} of viewfs://{self.name} is on no file system: its mount table in "
            f"{self.where} has links for {known}, and no linkFallback. Use a path below one of "
            "them, or have one added."
        )

    def file_systems(self) -> tuple[str, ...]:
        """The HDFS file systems it leads to, `hdfs://…`, each once."""
        targets = [target for _, target in self.links]
        targets += [self.fallback] if self.fallback else []
        parts = [urlsplit(target) for target in targets]
        found = [f"hdfs://{p.netloc}" for p in parts if p.scheme == "hdfs" and p.netloc]
        return tuple(dict.fromkeys(found))


def mount_table(properties: Properties, authority: str) -> MountTable:
    """
    The mount table of `viewfs://AUTHORITY`; without one that of the default table.

    Raises:
        ConfigurationError: It has none, or one of a kind that knit does not resolve.
    """
    name = authority or properties.get(_DEFAULT_NAME_PROPERTY) or "default"
    prefix = f"{_PREFIX}.{name}."
    links: dict[str, str] = {}
    fallback, home_prefix = None, "/user"
    for full in properties.names(prefix):
        kind, _, path = full.removeprefix(prefix).partition(".")
        value = properties.get(full) or ""
        if kind in _REFUSED:
            raise ConfigurationError(
                f"{full} in {properties.where} {_REFUSED[kind]}, which knit does not resolve. Set "
                "fs.defaultFS to the hdfs:// one that holds your home directory, in code or in a "
                "configuration directory of your own."
            )
        if kind not in _MEANT or not value:
            continue
        if kind == "homedir":
            home_prefix = "/" + value.strip("/")
        elif kind == "linkFallback":
            fallback = value
        elif kind == "linkMergeSlash":
            links["/"] = value
        else:
            links["/" + path.strip("/")] = value
    if not links and fallback is None:
        raise ConfigurationError(
            f"viewfs://{name} has no mount table in {properties.where}: no property begins with "
            f"{prefix}link. Add the cluster's, which is often a file of its own that core-site.xml "
            "includes, or set fs.defaultFS to an hdfs:// one."
        )
    longest_first = sorted(links.items(), key=lambda link: len(link[0]), reverse=True)
    return MountTable(name, tuple(longest_first), fallback, home_prefix, properties.where)


def mounted_file_systems(properties: Properties) -> tuple[str, ...]:
    """
    The HDFS file systems that `fs.defaultFS` is made of, if it is a `viewfs://`; else none.

    Containers may reach for any of them by the paths they know, so each needs a token.

    Raises:
        ConfigurationError: It has no mount table, or one that knit does not resolve.
    """
    table = default_table(properties)
    return () if table is None else table.file_systems()


def default_table(properties: Properties) -> MountTable | None:
    """
    The mount table of `fs.defaultFS`; None where that is a single file system.

    Raises:
        ConfigurationError: It has none, or one that knit does not resolve.
    """
    parts = urlsplit(properties.get("fs.defaultFS") or "")
    return mount_table(properties, parts.netloc) if parts.scheme == "viewfs" else None


def resolved(properties: Properties, url: str) -> str:
    """
    What a URL or path means, with `viewfs://` taken out of it.

    A path without a scheme is on `fs.defaultFS`, and stays a path where that is a single file
    system.

    Raises:
        ConfigurationError: No link of the mount table leads there.
    """
    parts = urlsplit(url)
    if parts.scheme == "viewfs":
        found = mount_table(properties, parts.netloc).resolve(unquote(parts.path))
    elif not parts.scheme and not parts.netloc and (table := default_table(properties)):
        found = table.resolve(url)
    else:
        return url
    return found
