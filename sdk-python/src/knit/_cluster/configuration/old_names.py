"""Names of properties that Hadoop still reads under their old form."""

from __future__ import annotations

_OLD = {
    "fs.default.name": "fs.defaultFS",
    "dfs.http.address": "dfs.namenode.http-address",
    "dfs.https.address": "dfs.namenode.https-address",
    "dfs.federation.nameservices": "dfs.nameservices",
    "dfs.federation.nameservice.id": "dfs.nameservice.id",
    "dfs.encryption.key.provider.uri": "hadoop.security.key.provider.path",
}

#: Of these, each nameservice may have one of its own, whose name is added.
_OF_NAMESERVICES = ("dfs.http.address", "dfs.https.address")


def current_name(name: str) -> str:
    """The name under which Hadoop knows a property now."""
    for old in _OF_NAMESERVICES:
        if name.startswith(f"{old}."):
            return _OLD[old] + name.removeprefix(old)
    return _OLD.get(name, name)
