"""Who we are by the delegation tokens that a container holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from urllib3 import HTTPHeaderDict

from knit._cluster.rest.answers import base_of
from knit._cluster.rest.authentication import Exchange
from knit._cluster.rest.daemons import Daemon
from knit._cluster.security.tokens import Token
from knit.exceptions import TokenUnavailableError

TOKEN_HEADER = "Hadoop-YARN-Auth-Delegation-Token"  # noqa: S105  (a header's name)


class TokenAuthentication:
    """
    Shows the ResourceManager its token in a header. File systems are shown theirs by whoever asks.

    Args:
        owner: Whose they are: the short name.
        resource_managers: Base URLs of who is shown the token, and nobody else.
        token: The token. May raise TokenUnavailableError.
    """

    acting_for: str | None = None

    def __init__(
        self, owner: str, resource_managers: Callable[[], Sequence[str]], token: Callable[[], Token]
    ) -> None:
        self._owner = owner
        self._resource_managers = resource_managers
        self._token = token

    @property
    def user(self) -> str:
        if not self._owner:
            raise TokenUnavailableError(
                "This process has no Kerberos ticket, and its container no delegation token that "
                "says whose it is. Run kinit."
            )
        return self._owner

    def query(self, daemon: Daemon) -> Mapping[str, str]:
        return {}

    def needs_greeting(self, url: str, *, only_once: bool) -> bool:
        return False

    def exchange(self, url: str, what: str) -> Exchange:
        is_meant = base_of(url) in map(base_of, self._resource_managers())
        return _Shown({TOKEN_HEADER: self._token().url_string()} if is_meant else {})


class _Shown:
    """A request whose header says all."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self.headers = headers

    def answered(self, status: int, headers: HTTPHeaderDict) -> bool:
        return False

    def close(self) -> None:
        pass
