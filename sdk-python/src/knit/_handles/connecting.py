"""Handles on running applications by credentials, with or without a cluster in reach."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING

from knit._cluster.cluster import Cluster
from knit._cluster.configuration.nowhere import config_or_nowhere
from knit._handles.application import Application
from knit._handles.cluster_yarn import ClusterYarn
from knit._handles.given import Given

if TYPE_CHECKING:
    from knit._cluster.configuration.config import ClusterConfig


def connect(
    credentials: str | os.PathLike[str],
    *,
    address: str | None = None,
    config: ClusterConfig | None = None,
    timeout: timedelta = timedelta(seconds=30),
) -> Application:
    """
    Returns a handle on a running application by credentials that somebody gave; asks nothing yet.

        with knit.connect("keys") as application:
            for container in application.containers():
                print(container.service, container.rank, container.state.name)

    It may what the credentials' role may. No cluster is needed for that; where one is known, it is
    asked where an Application Master has gone that does not answer any more, and for all that only
    the cluster knows: reports, kills, and what is left after the end.

    Args:
        credentials: The directory, as `knit credentials`, `Endpoint.save` or the launch of a
            container wrote it.
        address: Where the Application Master is, `host:port`. Default: where the directory says.
        config: Where the cluster is. Default: what the environment points at, if anything.
        timeout: For each call that is given no other.

    Raises:
        CredentialsError: The directory holds none.
    """
    given = Given(os.fspath(credentials), address)
    application_id = given.endpoint().application_id
    cluster = Cluster(config or config_or_nowhere(), timeout=timeout)
    return Application(ClusterYarn(cluster), application_id, timeout=timeout, given=given)
