"""Who we are to the cluster."""

from __future__ import annotations

import pytest

from knit._cluster.configuration.config import ClusterConfig
from knit._cluster.rest.authentication import (
    KerberosAuthentication,
    SimpleAuthentication,
    authentication_for,
)
from knit.exceptions import ConfigurationError, KerberosRequiredError


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
    assert SimpleAuthentication("alice").query() == {"user.name": "alice"}
    assert SimpleAuthentication("alice").headers("http://x") == {}


def test_kerberos_is_said_to_be_missing() -> None:
    config = ClusterConfig.from_properties({"hadoop.security.authentication": "Kerberos"})
    with pytest.raises(KerberosRequiredError, match="Use a cluster with simple authentication"):
        authentication_for(config)
    with pytest.raises(KerberosRequiredError):
        KerberosAuthentication()
