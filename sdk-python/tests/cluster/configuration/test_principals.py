"""Who daemons are to Kerberos, and where they answer by RPC."""

from __future__ import annotations

import socket

import pytest

from knit._cluster.configuration.addresses import name_node_rpc, resource_manager_rpc
from knit._cluster.configuration.config import ClusterConfig
from knit._cluster.configuration.principals import (
    canonical_host_name,
    name_node_principal,
    renewer,
    resource_manager_principal,
)
from knit.exceptions import ConfigurationError

RM = "yarn.resourcemanager"
PAIR = {
    f"{RM}.ha.enabled": "true",
    f"{RM}.ha.rm-ids": "rm2, rm1",
    f"{RM}.hostname.rm1": "One.example.net.",
    f"{RM}.address.rm2": "${yarn.resourcemanager.hostname.rm2}:8050",
    f"{RM}.hostname.rm2": "two.example.net",
    f"{RM}.principal": "rm/_HOST@EXAMPLE.NET",
}
NAMESERVICE = {
    "dfs.nameservices": "ns",
    "dfs.ha.namenodes.ns": "nn.a,nn.b",
    "dfs.namenode.rpc-address.ns.nn.a": "a.example.net:9820",
    "dfs.namenode.rpc-address.ns.nn.b": "b.example.net",
}


def of(**properties: object) -> ClusterConfig:
    return ClusterConfig.from_properties(properties)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What addresses resolve back to."""
    known: dict[str, str] = {}

    def resolve(address: tuple[str, int], flags: int) -> tuple[str, str]:
        assert flags == socket.NI_NAMEREQD
        if address[0] not in known:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return known[address[0]], "0"

    monkeypatch.setattr("socket.getnameinfo", resolve)
    return known


class TestRpcAddresses:
    @pytest.mark.parametrize(
        ("properties", "expected"),
        [
            ({}, [("localhost", 8032)]),
            ({f"{RM}.hostname": "rm"}, [("rm", 8032)]),
            ({f"{RM}.address": "rm:1"}, [("rm", 1)]),
            ({f"{RM}.address": "rm"}, [("rm", 8032)]),
            ({f"{RM}.address": "[fd00::1]:1"}, [("fd00::1", 1)]),
            ({f"{RM}.address": "0.0.0.0:1", f"{RM}.hostname": "rm"}, [("rm", 1)]),
            (PAIR, [("two.example.net", 8050), ("one.example.net.", 8032)]),
            (
                {f"{RM}.ha.enabled": "true", f"{RM}.ha.id": "rm3", f"{RM}.hostname.rm3": "c"},
                [("c", 8032)],
            ),
        ],
    )
    def test_of_the_resource_manager(
        self, properties: dict[str, str], expected: list[tuple[str, int]]
    ) -> None:
        """Of a pair in the order of its members, by which tokens name their services."""
        assert list(resource_manager_rpc(of(**properties))) == expected

    @pytest.mark.parametrize(
        ("properties", "authority", "expected"),
        [
            ({}, "nn:9000", [("nn", 9000)]),
            ({}, "nn", [("nn", 8020)]),
            ({}, "[fd00::1]:9000", [("fd00::1", 9000)]),
            (NAMESERVICE, "ns", [("a.example.net", 9820), ("b.example.net", 8020)]),
            (NAMESERVICE, "other:8020", [("other", 8020)]),
            (
                {"dfs.nameservices": "x", "dfs.namenode.rpc-address.x": "0.0.0.0:1"},
                "x",
                [("localhost", 1)],
            ),
        ],
    )
    def test_of_the_name_node(
        self, properties: dict[str, str], authority: str, expected: list[tuple[str, int]]
    ) -> None:
        assert list(name_node_rpc(of(**properties), authority)) == expected

    def test_a_member_without_one_is_told(self) -> None:
        pair = {name: value for name, value in PAIR.items() if not name.endswith("name.rm1")}
        with pytest.raises(ConfigurationError, match=r"'rm1'.*hostname\.rm1"):
            resource_manager_rpc(of(**pair))
        nameservice = {**NAMESERVICE, "dfs.namenode.rpc-address.ns.nn.b": ""}
        with pytest.raises(ConfigurationError, match=r"rpc-address\.ns\.nn\.b is not set"):
            name_node_rpc(of(**nameservice), "ns")

    def test_an_authority_that_is_none_is_told(self) -> None:
        with pytest.raises(ConfigurationError, match="HOST:PORT"):
            name_node_rpc(of(), ":8020")


class TestPrincipals:
    def test_its_host_is_what_the_address_resolves_back_to(self, names: dict[str, str]) -> None:
        """And not the name it was connected by, which may be an alias."""
        names["10.0.0.2"] = "Two.Example.Net."
        principal = resource_manager_principal(of(**PAIR))
        assert principal.at("10.0.0.2") == "rm/two.example.net@EXAMPLE.NET"
        assert principal.fits("rm/two.example.net@EXAMPLE.NET", "10.0.0.2")
        assert not principal.fits("rm/one.example.net@EXAMPLE.NET", "10.0.0.2")
        assert not principal.fits("yarn/two.example.net@EXAMPLE.NET", "10.0.0.2")

    def test_an_address_without_a_name_stands_for_itself(self, names: dict[str, str]) -> None:
        assert canonical_host_name("10.0.0.9") == "10.0.0.9"

    def test_one_that_is_written_out_stays_as_it_is(self, names: dict[str, str]) -> None:
        """Without a look-up; and case matters."""
        name = "dfs.namenode.kerberos.principal"
        assert name_node_principal(of(**{name: "nn/A@R"})).at("10.0.0.9") == "nn/A@R"

    @pytest.mark.parametrize(
        ("pattern", "principal", "fits"),
        [
            ("*", "nn/a.b@R", True),
            ("nn/*@R", "nn/a.b@R", True),
            ("nn/*@R", "dn/a.b@R", False),
            ("{nn,hdfs}/node-?.b@{R,S}", "hdfs/node-1.b@S", True),
            ("{nn,hdfs}/node-?.b@{R,S}", "hdfs/node-12.b@S", False),
            ("nn/a.b@R", "nn/axb@R", False),
        ],
    )
    def test_a_pattern_comes_first(self, pattern: str, principal: str, fits: bool) -> None:
        name = "dfs.namenode.kerberos.principal"
        config = of(**{name: "nn/other@R", f"{name}.pattern": pattern})
        assert name_node_principal(config).fits(principal, "10.0.0.9") is fits

    @pytest.mark.parametrize("value", ["rm", "rm/host", "rm@R", "rm/a/b@R", "/_HOST@R"])
    def test_one_that_names_no_service_is_told(self, value: str) -> None:
        with pytest.raises(ConfigurationError, match="SERVICE/HOST@REALM"):
            resource_manager_principal(of(**{f"{RM}.principal": value}))

    def test_one_that_is_missing_is_told(self) -> None:
        with pytest.raises(ConfigurationError, match=r"yarn\.resourcemanager\.principal is not"):
            renewer(of())
        with pytest.raises(ConfigurationError, match="such as nn/_HOST@REALM"):
            name_node_principal(of())


class TestRenewer:
    def test_it_has_the_host_that_is_configured(self, names: dict[str, str]) -> None:
        names["10.0.0.2"] = "elsewhere"
        assert renewer(of(**PAIR)) == "rm/two.example.net@EXAMPLE.NET"

    def test_it_may_be_the_other_one_of_a_pair(self) -> None:
        assert renewer(of(**PAIR, **{f"{RM}.ha.id": "rm1"})) == "rm/one.example.net@EXAMPLE.NET"

    def test_an_address_is_looked_up(self, names: dict[str, str]) -> None:
        names["10.0.0.2"] = "two.example.net"
        config = of(**{f"{RM}.address": "10.0.0.2:1", f"{RM}.principal": "rm/_HOST@R"})
        assert renewer(config) == "rm/two.example.net@R"

    def test_one_that_is_written_out_needs_no_address(self) -> None:
        assert renewer(of(**{f"{RM}.principal": "rm/x@R"})) == "rm/x@R"
