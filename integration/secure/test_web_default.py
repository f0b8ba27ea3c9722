"""Kerberos for RPC alone: what web servers at Hadoop's defaults tell whom."""

from __future__ import annotations

import urllib.error

import pytest

from integration.clusters import rest
from integration.clusters.embedded import EmbeddedCluster
from integration.hdfs import Hdfs


def test_the_resource_manager_lets_nobody_write(cluster: EmbeddedCluster) -> None:
    url = f"{cluster.resource_manager_url}/ws/v1/cluster"
    for session in (rest.ANYBODY, rest.Session(cluster.user)):
        assert session.get(f"{url}/info")["clusterInfo"]["state"] == "STARTED"
        with pytest.raises(urllib.error.HTTPError) as caught:
            session.call("POST", f"{url}/apps/new-application")
        with caught.value as refused:
            assert refused.code == 403
            assert b"static user" in refused.read()


def test_hdfs_believes_the_name_that_is_claimed(cluster: EmbeddedCluster, hdfs: Hdfs) -> None:
    hdfs.write(f"{hdfs.home}/claimed", b"mine")
    status = hdfs.status(f"{hdfs.home}/claimed")
    assert status is not None
    assert status["owner"] == cluster.user
