"""
A gateway in front of the cluster, such as Knox, that asks for a name and a password.

It is named by `knit.resourcemanager.url` and `knit.webhdfs.url`. The name is in `knit.gateway.user`
and the password in a file, which `knit.gateway.password-file` or KNIT_GATEWAY_PASSWORD_FILE names:
so it is in no URL, no property that is printed, and no list of processes.
"""

from __future__ import annotations

import base64
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import attrs
from urllib3 import HTTPHeaderDict

from knit._cluster.configuration.addresses import RM_URL_PROPERTY, WEBHDFS_URL_PROPERTY
from knit._cluster.rest.answers import base_of
from knit.exceptions import ConfigurationError

if TYPE_CHECKING:
    from knit._cluster.configuration.config import ClusterConfig
    from knit._cluster.rest.authentication import Exchange
    from knit._cluster.rest.daemons import Daemon

USER_PROPERTY = "knit.gateway.user"
PASSWORD_FILE_PROPERTY = "knit.gateway.password-file"  # noqa: S105 - a name
PASSWORD_FILE_VARIABLE = "KNIT_GATEWAY_PASSWORD_FILE"  # noqa: S105 - likewise
LARGEST_PASSWORD_BYTES = 4096
"""Of the file with the password, which is its first line."""


@attrs.frozen
class GatewayAuthentication:
    """Shows a name and a password to a gateway, and to nobody else."""

    user: str
    """Who the gateway says to the cluster that we are."""
    _password: str = attrs.field(repr=False)
    _origins: frozenset[str]
    """Of the gateways: scheme, host and port."""

    @property
    def acting_for(self) -> str | None:
        return None

    def query(self, daemon: Daemon) -> Mapping[str, str]:
        return {}

    def needs_greeting(self, url: str, *, only_once: bool) -> bool:
        return False

    def exchange(self, url: str, what: str) -> Exchange:
        if base_of(url).lower() not in self._origins:
            return _Shown({})
        shown = base64.b64encode(f"{self.user}:{self._password}".encode()).decode()
        return _Shown({"Authorization": f"Basic {shown}"})


class _Shown:
    def __init__(self, headers: Mapping[str, str]) -> None:
        self.headers = headers

    def answered(self, status: int, headers: HTTPHeaderDict) -> bool:
        return False

    def close(self) -> None:
        pass


def gateway_of(
    config: ClusterConfig, environment: Mapping[str, str] | None = None
) -> GatewayAuthentication | None:
    """
    What a gateway is shown; None where none asks for a password.

    Raises:
        ConfigurationError: The file cannot be used, or there is nothing to show it to.
    """
    environment = os.environ if environment is None else environment
    user = config.get(USER_PROPERTY)
    file = config.get(PASSWORD_FILE_PROPERTY) or environment.get(PASSWORD_FILE_VARIABLE)
    if not user:
        return None
    if not file:
        raise ConfigurationError(
            f"{USER_PROPERTY} is set in {config.where}, and its password is not known. Write it to "
            f"a file that only you can read, and name that in {PASSWORD_FILE_VARIABLE} or "
            f"{PASSWORD_FILE_PROPERTY}."
        )
    named = [config.get_list(name) for name in (RM_URL_PROPERTY, WEBHDFS_URL_PROPERTY)]
    if not all(named):
        raise ConfigurationError(
            f"{USER_PROPERTY} is set in {config.where}, and the gateway is not, for both the "
            f"ResourceManager and the file system: name it in {RM_URL_PROPERTY} and "
            f"{WEBHDFS_URL_PROPERTY}."
        )
    urls = [url for each in named for url in each]
    open_ones = [url for url in urls if urlsplit(url).scheme.lower() != "https"]
    if open_ones:
        raise ConfigurationError(
            f"{base_of(open_ones[0])} is not https, and passwords are not sent for everybody to "
            f"read. Name the gateway by https, or leave {USER_PROPERTY} out."
        )
    origins = frozenset(base_of(url).lower() for url in urls)
    return GatewayAuthentication(user, _password(Path(file)), origins)


def _password(path: Path) -> str:
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = file.read(LARGEST_PASSWORD_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(
            f"The gateway's password cannot be read from {path}: {error.strerror or error}."
        ) from error
    if os.name == "posix" and mode & 0o077:
        raise ConfigurationError(
            f"The gateway's password in {path} can be read by others (mode {mode:o}). Change that: "
            f"chmod 600 {path}"
        )
    try:
        found = content.decode().partition("\n")[0].rstrip("\r")
    except UnicodeDecodeError:
        found = ""
    if not found or len(content) > LARGEST_PASSWORD_BYTES:
        raise ConfigurationError(
            f"The file {path} has no password in its first line, or more than "
            f"{LARGEST_PASSWORD_BYTES} bytes. Write nothing but the password to it."
        )
    return found


def url_of(base_url: str, path: str) -> str:
    """
    Where a call goes.

    Knox has the ResourceManager's API at `…/resourcemanager/v1`, which is `/ws/v1` behind it.
    """
    if base_url.endswith("/resourcemanager") and path.startswith("/ws/"):
        path = path.removeprefix("/ws")
    return base_url + path
