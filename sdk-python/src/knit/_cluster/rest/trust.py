"""
Which authorities are trusted over https.

Those in the file of `knit.tls.ca-file`, and then no others. Without it those that this machine
trusts, or those that OpenSSL's variables SSL_CERT_FILE and SSL_CERT_DIR name in their place, and
beside them those in the truststore of Hadoop's `ssl-client.xml`: gateways are signed by the one,
daemons by the other, and environments set these variables without a thought of either.
"""

from __future__ import annotations

import ssl
from pathlib import Path

import attrs

from knit._cluster.configuration.addresses import RM_URL_PROPERTY, WEBHDFS_URL_PROPERTY
from knit._cluster.configuration.config import CA_FILE_PROPERTY, ClusterConfig
from knit._cluster.configuration.ssl_client import Truststore
from knit.exceptions import ConfigurationError

_WAY_OUT = f"Or name the authorities in a PEM file: SSL_CERT_FILE, or {CA_FILE_PROPERTY}."


@attrs.frozen
class Trust:
    """What is trusted, and what is not though it was meant to be."""

    context: ssl.SSLContext | None = None
    """None where nobody speaks https."""
    problem: str = ""
    """
    Why the truststore is not used, and what to do, in sentences. It is told where a server turns
    out not to be trusted; most of those who may not read it need not.
    """


def trust_of(config: ClusterConfig) -> Trust:
    """
    What is trusted of a cluster's servers.

    Raises:
        ConfigurationError: `knit.tls.ca-file` cannot be used.
    """
    if config.ca_file is not None:
        return Trust(context_of(config.ca_file))
    if not _uses_https(config):
        return Trust()
    try:
        store = config.truststore
    except ConfigurationError as error:
        return Trust(_usual(), f"ssl-client.xml is not used: {error.message} {_WAY_OUT}")
    if store is None:
        return Trust(_usual())
    try:
        return Trust(_context_with(_certificates(store)))
    except _UnusableError as error:
        return Trust(_usual(), f"{error} {_WAY_OUT}")


def context_of(ca_file: str) -> ssl.SSLContext:
    """
    A context that trusts the authorities in a PEM file, and no others.

    Raises:
        ConfigurationError: It cannot be read, or has none.
    """
    try:
        return _as_strict_as_java(ssl.create_default_context(cafile=ca_file))
    except OSError as error:
        raise ConfigurationError(
            f"The authorities in {ca_file} ({CA_FILE_PROPERTY}) cannot be read: "
            f"{error.strerror or error}. It has to be a file of PEM certificates."
        ) from error


class _UnusableError(Exception):
    """The truststore cannot be used; in a sentence, with what to do."""


def _certificates(store: Truststore) -> list[bytes]:
    from knit._cluster.security.truststores import (
        LARGEST_BYTES,
        PasswordError,
        TruststoreError,
        certificates_in,
    )

    whose = f"The truststore {store.path} of {store.where}"
    try:
        with Path(store.path).open("rb") as file:
            content = file.read(LARGEST_BYTES + 1)
    except OSError as error:
        raise _UnusableError(
            f"{whose} cannot be read ({error.strerror or error}). Have it made readable, or "
            "ssl.client.truststore.location corrected."
        ) from error
    if len(content) > LARGEST_BYTES:
        raise _UnusableError(
            f"{whose} has more than {LARGEST_BYTES // 1024**2} MiB, and is not read."
        )
    try:
        return certificates_in(content, store.kind, store.password)
    except PasswordError as error:
        if store.password is None and store.credential_provider is not None:
            raise _UnusableError(
                f"{whose} needs a password, which is in a credential provider "
                f"({store.credential_provider}) that only Java reads. Set "
                "ssl.client.truststore.password in a copy of that file."
            ) from error
        if store.password is None:
            raise _UnusableError(
                f"{whose} needs a password. Set ssl.client.truststore.password there."
            ) from error
        raise _UnusableError(
            f"{whose} {error}. Correct ssl.client.truststore.password there."
        ) from error
    except TruststoreError as error:
        raise _UnusableError(f"{whose} {error}. Have it made anew: keytool -importcert.") from error


def _context_with(certificates: list[bytes]) -> ssl.SSLContext:
    context = _usual()
    try:
        context.load_verify_locations(cadata=b"".join(certificates))
    except ssl.SSLError as error:
        raise _UnusableError(
            f"The certificates of the truststore cannot be used ({error.reason})."
        ) from error
    # As Java: what stands there is trusted, also where it is no authority that signed itself.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def _usual() -> ssl.SSLContext:
    """Trusts whom this machine does; `SSL_CERT_FILE` has its say."""
    return _as_strict_as_java(ssl.create_default_context())


def _as_strict_as_java(context: ssl.SSLContext) -> ssl.SSLContext:
    """
    Takes what Hadoop's own clients take.

    From 3.13 on Python wants of certificates what keytool, with which clusters make theirs, leaves
    out: an identifier of the authority's key, for one.
    """
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def _uses_https(config: ClusterConfig) -> bool:
    policies = (config.get("dfs.http.policy"), config.get("yarn.http.policy"))
    urls = (config.get(RM_URL_PROPERTY), config.get(WEBHDFS_URL_PROPERTY))
    return any((policy or "").upper() == "HTTPS_ONLY" for policy in policies) or any(
        "https:" in (url or "").lower() for url in urls
    )
