"""Who we say that we are to a cluster that believes it."""

from __future__ import annotations

import pytest

from knit._cluster.configuration.config import ClusterConfig
from knit._cluster.rest.authentication import SimpleAuthentication, wants_proof
from knit._cluster.rest.daemons import DATA_NODE, NAME_NODE, RESOURCE_MANAGER
from knit.exceptions import ConfigurationError


def test_the_name_given_comes_first_then_hadoops_variable_then_the_systems(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HADOOP_USER_NAME", "from-hadoop")
    monkeypatch.setenv("LOGNAME", "from-system")
    assert SimpleAuthentication.from_environment("given").user == "given"
    assert SimpleAuthentication.from_environment().user == "from-hadoop"
    monkeypatch.delenv("HADOOP_USER_NAME")
    assert SimpleAuthentication.from_environment().user == "from-system"


def test_an_empty_name_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="HADOOP_USER_NAME"):
        SimpleAuthentication(" ")


def test_simple_authentication_is_a_parameter_of_the_query() -> None:
    assert SimpleAuthentication("alice").query(NAME_NODE) == {"user.name": "alice"}
    assert SimpleAuthentication("alice").exchange("http://x", "Asking").headers == {}


def test_who_acts_for_another_names_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HADOOP_USER_NAME", "alice")
    monkeypatch.setenv("HADOOP_PROXY_USER", "bob")
    both = SimpleAuthentication.from_environment()
    assert both.user == "bob"
    assert both.query(RESOURCE_MANAGER) == {"user.name": "alice", "doAs": "bob"}
    assert both.query(NAME_NODE) == {"user.name": "alice", "doas": "bob"}
    assert both.query(DATA_NODE) == {"user.name": "alice", "doas": "bob"}
    assert SimpleAuthentication.from_environment("carol").user == "carol"


@pytest.mark.parametrize(
    ("kind", "filters", "wanted"),
    [
        ("kerberos", "org.apache.hadoop.security.AuthenticationFilterInitializer", True),
        ("Kerberos", "a.B, x.ProxyUserAuthenticationFilterInitializer", True),
        ("kerberos", "org.apache.hadoop.http.lib.StaticUserWebFilter", False),
        ("simple", "org.apache.hadoop.security.AuthenticationFilterInitializer", False),
        (None, None, False),
    ],
)
def test_a_proof_is_wanted_where_all_web_servers_do_kerberos(
    kind: str | None, filters: str | None, wanted: bool
) -> None:
    said = {
        "hadoop.http.authentication.type": kind,
        "hadoop.http.filter.initializers": filters,
    }
    properties = {name: value for name, value in said.items() if value is not None}
    assert wants_proof(ClusterConfig.from_properties(properties)) is wanted
