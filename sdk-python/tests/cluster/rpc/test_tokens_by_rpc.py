"""Delegation tokens by RPC, and who each daemon has to be that gives them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from knit._cluster.configuration.config import ClusterConfig
from knit._cluster.hdfs import rpc_messages as hdfs
from knit._cluster.hdfs.rpc_files import FileSystemPlace, RpcFiles
from knit._cluster.hdfs.transfer import DataNodes
from knit._cluster.rest.authentication import SimpleAuthentication
from knit._cluster.rest.client import HttpClient
from knit._cluster.rpc.endpoints import name_node_client, resource_manager_client
from knit._cluster.rpc.sasl import Identity
from knit._cluster.security.tickets import Tickets
from knit._cluster.security.tokens import Token
from knit._cluster.yarn import rpc_messages as yarn
from knit._cluster.yarn.rpc_door import RpcDoor
from knit._values.deadlines import Deadline
from knit.exceptions import ClusterResponseError
from tests.fakes.rpc import FakeRpcServer, RpcCall

TOKEN = Token(b"whose", b"secret", "A_KIND", "a service")
Serve = Callable[..., FakeRpcServer]


@pytest.fixture
def serve() -> Iterator[Serve]:
    servers: list[FakeRpcServer] = []

    def started(protocol: Any, handler: Callable[[RpcCall], Any]) -> FakeRpcServer:
        servers.append(FakeRpcServer(protocol, handler))
        return servers[-1]

    yield started
    for server in servers:
        server.stop()


def config(**properties: str) -> ClusterConfig:
    return ClusterConfig.from_properties({k.replace("_", "."): v for k, v in properties.items()})


def given(protocol: Any, *, gives: bool) -> Callable[[RpcCall], Any]:
    def handler(call: RpcCall) -> Any:
        answer = protocol.schema.new("GetDelegationTokenResponse")
        if gives:
            told = answer.token
            told.identifier, told.password = TOKEN.identifier, TOKEN.password
            told.kind, told.service = TOKEN.kind, TOKEN.service
        return answer

    return handler


def test_the_resource_manager_gives_one_for_the_renewer_that_is_named(serve: Serve) -> None:
    server = serve(yarn.PROTOCOL, given(yarn.PROTOCOL, gives=True))
    found = config(yarn_resourcemanager_address=f"127.0.0.1:{server.port}")
    client = resource_manager_client(found, yarn.PROTOCOL, Identity(user="alice"))
    deadline = Deadline.after(timedelta(seconds=20))
    assert RpcDoor(client).delegation_token("rm/host@A.COM", "Asking", deadline) == TOKEN
    assert server.calls[0].request.renewer == "rm/host@A.COM"
    server.handler = given(yarn.PROTOCOL, gives=False)
    with pytest.raises(ClusterResponseError, match="Does it authenticate with Kerberos"):
        RpcDoor(client).delegation_token("rm/host@A.COM", "Asking", deadline)


@pytest.mark.parametrize(
    ("renewer", "sent"), [("rm/host@A.COM", "rm/host@A.COM"), ("", ""), (None, "alice")]
)
def test_the_name_node_gives_one_for_the_renewer_that_is_named(
    serve: Serve, renewer: str | None, sent: str
) -> None:
    """Nobody, too; and where none is named, we."""
    server = serve(hdfs.PROTOCOL, given(hdfs.PROTOCOL, gives=True))
    found = config(fs_defaultFS=f"hdfs://127.0.0.1:{server.port}")
    authority = f"127.0.0.1:{server.port}"
    files = RpcFiles(
        name_node_client(found, authority, hdfs.PROTOCOL, Identity(user="alice")),
        DataNodes(HttpClient(SimpleAuthentication("alice"))),
        FileSystemPlace(name=authority, https=False),
        user=lambda: "alice",
        claimed=None,
    )
    assert files.delegation_token(renewer) == TOKEN
    assert server.calls[0].request.renewer == sent
    server.handler = given(hdfs.PROTOCOL, gives=False)
    with pytest.raises(ClusterResponseError, match="does not authenticate with Kerberos"):
        files.delegation_token(renewer)


def test_with_tickets_it_is_known_who_each_daemon_has_to_be() -> None:
    found = ClusterConfig.from_properties(
        {
            "fs.defaultFS": "hdfs://nn1:8020",
            "yarn.resourcemanager.address": "rm1:8032",
            "yarn.resourcemanager.principal": "rm/rm1@A.COM",
            "dfs.namenode.kerberos.principal": "nn/nn1@A.COM",
            "hadoop.rpc.protection": "privacy, integrity",
        }
    )
    identity = Identity(tickets=Tickets())
    manager = resource_manager_client(found, yarn.PROTOCOL, identity).active
    name_node = name_node_client(found, "nn1:8020", hdfs.PROTOCOL, identity).active
    told = [each.principal and each.principal.configured for each in (manager, name_node)]
    assert told == ["rm/rm1@A.COM", "nn/nn1@A.COM"]
    assert [each.value for each in manager.protections] == ["auth-conf", "auth-int"]
    assert (
        resource_manager_client(found, yarn.PROTOCOL, Identity(user="a")).active.principal is None
    )


class TestData:
    """How DataNodes are spoken to, where the NameNode is by RPC."""

    def files(self, *, https: bool) -> RpcFiles:
        found = config(fs_defaultFS="hdfs://127.0.0.1:1")
        return RpcFiles(
            name_node_client(found, "127.0.0.1:1", hdfs.PROTOCOL, Identity(user="alice")),
            DataNodes(HttpClient(SimpleAuthentication("alice"))),
            FileSystemPlace(name="ns", https=https),
            user=lambda: "alice",
            claimed=[("user.name", "alice")],
        )

    @pytest.mark.parametrize(
        ("https", "start"), [(True, "https://dn1:9865/"), (False, "http://dn1:9864/")]
    )
    def test_their_web_servers_are_spoken_to_as_the_cluster_has_them(
        self, https: bool, start: str
    ) -> None:
        node = hdfs.MESSAGES.new("DataNode")
        node.id.host, node.id.http_port, node.id.https_port = "dn1", 9864, 9865
        url = self.files(https=https)._url("/a b", node, {"op": "OPEN"})
        assert url == (f"{start}webhdfs/v1/a%20b?op=OPEN&user.name=alice&namenoderpcaddress=ns")
