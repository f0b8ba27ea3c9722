"""
The delegation tokens that a container holds, for clients that have no ticket.

YARN writes them into a file of the container's own and names it in HADOOP_TOKEN_FILE_LOCATION.
Nobody fetches new tokens with a token: what is here is handed on, and lives as long as it does.
"""

from __future__ import annotations

import os
from pathlib import Path

import attrs

from knit._cluster.configuration.addresses import Properties
from knit._cluster.security.token_file import Credentials
from knit._cluster.security.token_services import file_system_service, resource_manager_service
from knit._cluster.security.tokens import (
    HDFS_KIND,
    KMS_KIND,
    RESOURCE_MANAGER_KIND,
    MalformedTokenError,
    Token,
    TokenIdentifier,
)
from knit.exceptions import ConfigurationError, TokenUnavailableError

TOKEN_FILE_VARIABLE = "HADOOP_TOKEN_FILE_LOCATION"  # noqa: S105  (a variable's name)


@attrs.frozen
class HeldTokens:
    """Tokens of a container. Nothing of them is shown."""

    credentials: Credentials = attrs.field(repr=False)

    @classmethod
    def of_environment(cls) -> HeldTokens | None:
        """
        Those of the container that this process runs in; None outside of one.

        Raises:
            ConfigurationError: The file that the environment names cannot be read.
        """
        path = os.environ.get(TOKEN_FILE_VARIABLE)
        if not path:
            return None
        try:
            return cls(Credentials.from_file(Path(path)))
        except (OSError, MalformedTokenError) as error:
            said = error.strerror if isinstance(error, OSError) else error
            raise ConfigurationError(
                f"The file of tokens {path} ({TOKEN_FILE_VARIABLE}) cannot be used: {said}. Unset "
                "the variable to do without, or run kinit."
            ) from None

    @property
    def owner(self) -> str:
        """The short name of whose they are; empty where none of them tells."""
        for kind in (HDFS_KIND, RESOURCE_MANAGER_KIND):
            for token in self.credentials.of_kind(kind):
                try:
                    found = TokenIdentifier.of(token)
                except MalformedTokenError:
                    continue
                if found is not None and found.owner:
                    return found.owner.partition("@")[0].partition("/")[0]
        return ""

    def of_file_system(self, properties: Properties, url: str) -> Token:
        """
        The token for a file system `hdfs://…`.

        Raises:
            TokenUnavailableError: There is none.
        """
        service = file_system_service(properties, url)
        return self._one(
            HDFS_KIND,
            service,
            f"{url} ({service}): name it in file_systems of the application that this container "
            "is of",
        )

    def of_resource_manager(self, properties: Properties) -> Token:
        """
        The token for the ResourceManager.

        Raises:
            TokenUnavailableError: There is none: the service has not asked for it.
        """
        return self._one(
            RESOURCE_MANAGER_KIND,
            resource_manager_service(properties),
            "the ResourceManager: set resource_manager_token of the service, or of the driver, "
            "that this container is of",
        )

    def of_key_management_server(self, uri: str) -> Token:
        """
        The token for a key management server.

        Raises:
            TokenUnavailableError: There is none.
        """
        return self._one(KMS_KIND, uri, f"the key management server {uri}")

    def _one(self, kind: str, service: str, whose: str) -> Token:
        tokens = self.credentials.of_kind(kind)
        # A container's configuration may name the service otherwise than the submission's did:
        # where there is but one, it is meant.
        found = [token for token in tokens if token.service == service] or (
            tokens if kind == RESOURCE_MANAGER_KIND else []
        )
        if not found:
            raise TokenUnavailableError(
                "This process has no Kerberos ticket, and its container holds no delegation token "
                f"for {whose}. Or run kinit."
            )
        return found[0]
