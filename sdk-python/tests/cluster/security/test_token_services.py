"""The names by which Hadoop's clients find tokens."""

from __future__ import annotations

import socket

import pytest

from knit._cluster.configuration.config import ClusterConfig
from knit._cluster.security.token_services import (
    address_service,
    file_system_service,
    resource_manager_service,
)
from knit.exceptions import ConfigurationError

ADDRESSES = {
    "rm1.example": ["10.0.0.1"],
    "rm2.example": ["fd00::2", "10.0.0.2"],
    "nn.example": ["10.0.0.3"],
    "six.example": ["fd00:0:0:0:0:0:0:a"],
    "link.example": ["fe80::1%eth0"],
}


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        if host not in ADDRESSES:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(0, 0, 0, "", (address, port)) for address in ADDRESSES[host]]

    monkeypatch.setattr("socket.getaddrinfo", resolve)


def of(**properties: str) -> ClusterConfig:
    return ClusterConfig.from_properties(properties)


PAIR = {
    "yarn.resourcemanager.ha.enabled": "true",
    "yarn.resourcemanager.ha.rm-ids": "b,a",
    "yarn.resourcemanager.address.a": "rm1.example:8050",
    "yarn.resourcemanager.hostname.b": "RM2.example",
}


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"yarn.resourcemanager.address": "rm1.example:8050"}, "10.0.0.1:8050"),
        ({"yarn.resourcemanager.hostname": "rm1.example"}, "10.0.0.1:8032"),
        (PAIR, "10.0.0.2:8032,10.0.0.1:8050"),
        (
            {**PAIR, "hadoop.security.token.service.use_ip": "false"},
            "rm2.example:8032,rm1.example:8050",
        ),
    ],
)
def test_of_the_resource_manager(properties: dict[str, str], expected: str) -> None:
    assert resource_manager_service(of(**properties)) == expected


@pytest.mark.parametrize(
    ("url", "properties", "expected"),
    [
        ("hdfs://nn.example:9000", {}, "10.0.0.3:9000"),
        ("hdfs://nn.example", {}, "10.0.0.3:8020"),
        (
            "hdfs://NN.example:9000",
            {"hadoop.security.token.service.use_ip": "FALSE"},
            "nn.example:9000",
        ),
        ("hdfs://ns", {"dfs.ha.namenodes.ns": "nn1,nn2"}, "ha-hdfs:ns"),
        (
            "hdfs://ns",
            {"dfs.client.failover.proxy.provider.ns": "a.b.RequestHedgingProxyProvider"},
            "ha-hdfs:ns",
        ),
        (
            "hdfs://nn.example:8020",
            {
                "dfs.client.failover.proxy.provider.nn.example:8020": "a.b.IPFailoverProxyProvider",
            },
            "10.0.0.3:8020",
        ),
    ],
)
def test_of_a_file_system(url: str, properties: dict[str, str], expected: str) -> None:
    assert file_system_service(of(**properties), url) == expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [("six.example", "fd00:0:0:0:0:0:0:a:1"), ("link.example", "fe80:0:0:0:0:0:0:1:1")],
)
def test_addresses_are_written_as_java_does(host: str, expected: str) -> None:
    assert address_service(of(), host, 1) == expected


def test_a_host_that_is_not_known_here_is_told_with_the_way_out() -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.example is not known here.*use_ip"):
        file_system_service(of(), "hdfs://nowhere.example:8020")
