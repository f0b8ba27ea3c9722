"""One cluster and everything that talks to it, made from its configuration as it is needed."""

from __future__ import annotations

from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from knit._cluster.configuration.config import ClusterConfig
from knit._cluster.hdfs.webhdfs import WebHdfs
from knit._cluster.rest.authentication import authentication_for
from knit._cluster.rest.client import HttpClient
from knit._cluster.yarn.resource_manager import ResourceManager
from knit._cluster.yarn.rest_door import RestDoor

if TYPE_CHECKING:
    from types import TracebackType

DEFAULT_TIMEOUT = timedelta(seconds=30)


class Cluster:
    """
    The doors of one cluster, with one pool of connections behind them. Threads may share it.

    Nothing is asked before a door is used.

    Args:
        config: Where the cluster is.
        user: Who we are. Default: `$HADOOP_USER_NAME`, else the system's user.
        timeout: For each call that is given no deadline of its own.

    Raises:
        KerberosRequiredError: The cluster authenticates with Kerberos.
        ConfigurationError: The user is not known, or `knit.tls.ca-file` cannot be read.
    """

    def __init__(
        self,
        config: ClusterConfig,
        *,
        user: str | None = None,
        timeout: timedelta = DEFAULT_TIMEOUT,
    ) -> None:
        self.config = config
        self.timeout = timeout
        self._authentication = authentication_for(config, user)
        self._http = HttpClient(self._authentication, ca_file=config.ca_file)

    @property
    def user(self) -> str:
        """The name the cluster knows us by."""
        return self._authentication.user

    @cached_property
    def resource_manager(self) -> ResourceManager:
        """YARN. The first use may raise ConfigurationError."""
        door = RestDoor(self._http, self.config.resource_managers)
        return ResourceManager(door, timeout=self.timeout)

    @cached_property
    def files(self) -> WebHdfs:
        """The file system. The first use may raise ConfigurationError."""
        return WebHdfs(self._http, self.config.name_nodes, timeout=self.timeout)

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
