"""Whom Hadoop's own clients trust over https: the truststore of `ssl-client.xml`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import attrs

from knit._cluster.configuration.hadoop_xml import Properties
from knit._cluster.configuration.variables import substitute
from knit._values.paths import is_file
from knit.exceptions import ConfigurationError

SSL_CLIENT_PROPERTY = "hadoop.ssl.client.conf"
_DEFAULT_FILE = "ssl-client.xml"
_PREFIX = "ssl.client.truststore"


@attrs.frozen
class Truststore:
    """A file of authorities, and how it is read."""

    path: Path
    kind: str
    """`PKCS12`, `JKS` and the like, as the file that names it has it; Java's default is JKS."""
    password: str | None = attrs.field(repr=False)
    """None where there is none, or it is elsewhere."""
    credential_provider: str | None
    """Where the password may be if it is not here: `hadoop.security.credential.provider.path`."""
    where: str
    """The file that names it, for messages."""


def truststore_of(
    properties: Mapping[str, str], name: str, directories: Iterable[Path]
) -> Truststore | None:
    """
    The truststore for clients, if one is named.

    Args:
        properties: The cluster's, which may have those of `ssl-client.xml` among them.
        name: What that file is called here, `hadoop.ssl.client.conf`.
        directories: Where it may be, beside the other files.

    Raises:
        ConfigurationError: The file is malformed, or cannot be read.
    """
    name = name or _DEFAULT_FILE
    directories = tuple(directories)
    found = next((d / name for d in directories if _is_file(d / name)), None)
    values = dict(properties)
    if found is not None:
        read = Properties(directories)
        read.add_file(found)
        values |= read.values

    def get(key: str) -> str:
        return substitute(key, values).strip() if key in values else ""

    location = get(f"{_PREFIX}.location")
    if not location:
        return None
    return Truststore(
        path=Path(location.removeprefix("file://")),
        kind=get(f"{_PREFIX}.type") or "jks",
        password=get(f"{_PREFIX}.password") or None,
        credential_provider=get("hadoop.security.credential.provider.path") or None,
        where=str(found or "the configuration"),
    )


def _is_file(path: Path) -> bool:
    return is_file(path, what="Hadoop configuration", error=ConfigurationError)
