"""Whom knit trusts over https, by Hadoop's own configuration for clients."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from knit._cluster.cluster import Cluster
from knit._cluster.configuration.config import ClusterConfig
from knit._cluster.rest import trust
from knit._cluster.rest.trust import trust_of
from knit._cluster.security import truststores
from knit.exceptions import ClusterUnreachableError, ConfigurationError
from tests.fakes.tls import PASSWORD, Identity, serve_tls
from tests.fakes.yarn import FakeResourceManager


@pytest.fixture(scope="module")
def authority() -> Identity:
    return Identity.signed("authority")


@pytest.fixture(scope="module")
def server(authority: Identity) -> Identity:
    return Identity.signed("server", by=authority)


def listening(
    identity: Identity, path: Path, *, demands: Identity | None = None
) -> FakeResourceManager:
    found = FakeResourceManager()
    serve_tls(found, identity, path, demands=demands)
    return found


@pytest.fixture
def url(server: Identity, tmp_path: Path) -> Iterator[str]:
    found = listening(server, tmp_path)
    yield found.url.replace("http:", "https:")
    found.stop()


@pytest.fixture(autouse=True)
def _no_other_authorities(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)


def configured(
    tmp_path: Path, url: str, *, name: str = "ssl-client.xml", **client: str
) -> ClusterConfig:
    """A directory with a `yarn-site.xml`, and what is said of the truststore."""

    def write(file: str, properties: dict[str, str]) -> None:
        lines = "".join(
            f"<property><name>{key}</name><value>{value}</value></property>"
            for key, value in properties.items()
        )
        (tmp_path / file).write_text(f"<configuration>{lines}</configuration>")

    write("yarn-site.xml", {"knit.resourcemanager.url": url, "hadoop.ssl.client.conf": name})
    if client:
        write(name, {f"ssl.client.truststore.{key}": value for key, value in client.items()})
    return ClusterConfig.from_directory(tmp_path)


def ask(config: ClusterConfig) -> str:
    with Cluster(config, user="alice", timeout=timedelta(seconds=5)) as cluster:
        return cluster.resource_manager.cluster_info().ha_state


class TestTruststore:
    def test_it_is_found_beside_the_other_files(
        self, tmp_path: Path, url: str, authority: Identity
    ) -> None:
        store = tmp_path / "trust"
        store.write_bytes(authority.truststore())
        config = configured(tmp_path, url, location=str(store), type="PKCS12", password=PASSWORD)
        assert ask(config) == "ACTIVE"

    def test_it_may_have_another_name_and_variables(
        self, tmp_path: Path, url: str, authority: Identity, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("STORES", str(tmp_path))
        (tmp_path / "trust").write_bytes(authority.truststore())
        location = "file://${env.STORES}/trust"
        config = configured(tmp_path, url, name="mine.xml", location=location, password=PASSWORD)
        assert ask(config) == "ACTIVE"

    def test_its_properties_may_be_given_in_code(
        self, tmp_path: Path, url: str, authority: Identity
    ) -> None:
        (tmp_path / "trust").write_bytes(authority.truststore())
        config = ClusterConfig.from_properties(
            {
                "knit.resourcemanager.url": url,
                "ssl.client.truststore.location": tmp_path / "trust",
                "ssl.client.truststore.password": PASSWORD,
            }
        )
        assert ask(config) == "ACTIVE"

    def test_one_servers_own_certificate_may_stand_there(
        self, tmp_path: Path, url: str, server: Identity
    ) -> None:
        """As Java takes it, though another one signed it."""
        (tmp_path / "trust").write_bytes(server.truststore())
        config = configured(tmp_path, url, location=str(tmp_path / "trust"), password=PASSWORD)
        assert ask(config) == "ACTIVE"

    def test_another_authority_is_not_trusted(self, tmp_path: Path, url: str) -> None:
        (tmp_path / "trust").write_bytes(Identity.signed("other").truststore())
        config = configured(tmp_path, url, location=str(tmp_path / "trust"), password=PASSWORD)
        with pytest.raises(ClusterUnreachableError, match=r"not trusted here.*ssl-client\.xml"):
            ask(config)

    @pytest.mark.parametrize(
        ("ends", "address", "said", "remedy"),
        [
            (timedelta(days=-1), "127.0.0.1", "has expired", "administrators have to renew it"),
            (timedelta(days=1), "10.0.0.1", "IP address mismatch", "as its certificate does"),
        ],
    )
    def test_what_ends_or_is_of_another_host_is_not_the_authoritys_fault(
        self,
        tmp_path: Path,
        authority: Identity,
        ends: timedelta,
        address: str,
        said: str,
        remedy: str,
    ) -> None:
        """It is signed by one that is trusted, and to name that once more would help nobody."""
        identity = Identity.signed("server", by=authority, ends=ends, address=address)
        server = listening(identity, tmp_path)
        (tmp_path / "trust").write_bytes(authority.truststore())
        url = server.url.replace("http:", "https:")
        config = configured(tmp_path, url, location=str(tmp_path / "trust"), password=PASSWORD)
        with pytest.raises(ClusterUnreachableError) as failure:
            ask(config)
        server.stop()
        assert said in failure.value.message
        assert remedy in failure.value.message
        assert "ssl-client.xml" not in failure.value.message

    def test_it_is_not_looked_at_without_https(self, tmp_path: Path) -> None:
        config = configured(tmp_path, "http://rm:8088", location="/no/such", password="x")
        assert trust_of(config) == trust.Trust()


class TestUnusable:
    """Whoever is trusted all the same is: most of those who may not read the file need not."""

    def test_what_is_wrong_is_told_where_a_server_is_not_trusted(
        self, tmp_path: Path, url: str, authority: Identity
    ) -> None:
        (tmp_path / "trust").write_bytes(authority.truststore())
        config = configured(tmp_path, url, location=str(tmp_path / "trust"), password="swordfish")
        with pytest.raises(ClusterUnreachableError) as failure:
            ask(config)
        assert "has another password, or is damaged" in failure.value.message
        assert "Correct ssl.client.truststore.password there." in failure.value.message
        assert "SSL_CERT_FILE, or knit.tls.ca-file" in failure.value.message
        assert "swordfish" not in failure.value.message

    def test_what_is_wrong_does_not_hinder_where_it_is_not_needed(
        self, tmp_path: Path, url: str, authority: Identity, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        config = configured(tmp_path, url, location="/no/such", password="x")
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.write(tmp_path / "ca.pem")))
        assert ask(config) == "ACTIVE"

    @pytest.mark.parametrize(
        ("content", "more", "says"),
        [
            (None, {"password": PASSWORD}, r"cannot be read \(No such file or directory\)"),
            (b"nonsense", {"type": "bcfks"}, "is of the type bcfks, and only PKCS12, JKS and PEM"),
            ("store", {}, r"needs a password\. Set ssl\.client\.truststore\.password"),
        ],
    )
    def test_each_is_told(
        self,
        tmp_path: Path,
        authority: Identity,
        content: bytes | str | None,
        more: dict[str, str],
        says: str,
    ) -> None:
        path = tmp_path / "trust"
        if content is not None:
            path.write_bytes(authority.truststore() if isinstance(content, str) else content)
        config = configured(tmp_path, "https://rm:8090", location=str(path), **more)
        with pytest.raises(AssertionError, match=says):
            raise AssertionError(trust_of(config).problem)

    def test_a_password_that_only_java_can_look_up_is_told(
        self, tmp_path: Path, authority: Identity
    ) -> None:
        (tmp_path / "trust").write_bytes(authority.truststore())
        config = configured(tmp_path, "https://rm:8090", location=str(tmp_path / "trust"))
        config = config.with_properties(
            {"hadoop.security.credential.provider.path": "localjceks://file/etc/x.jceks"}
        )
        problem = trust_of(config).problem
        assert "in a credential provider (localjceks://file/etc/x.jceks)" in problem

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
    def test_one_that_may_not_be_read_is_told(self, tmp_path: Path, authority: Identity) -> None:
        (tmp_path / "trust").write_bytes(authority.truststore())
        (tmp_path / "trust").chmod(0)
        config = configured(tmp_path, "https://rm:8090", location=str(tmp_path / "trust"))
        assert "cannot be read (Permission denied)" in trust_of(config).problem

    def test_one_that_is_too_large_is_not_read(
        self, tmp_path: Path, authority: Identity, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(truststores, "LARGEST_BYTES", 100)
        (tmp_path / "trust").write_bytes(authority.truststore())
        config = configured(tmp_path, "https://rm:8090", location=str(tmp_path / "trust"))
        assert "is not read" in trust_of(config).problem

    def test_a_malformed_file_that_names_it_is_told(self, tmp_path: Path) -> None:
        config = configured(tmp_path, "https://rm:8090", location="x")
        (tmp_path / "ssl-client.xml").write_text("<configuration>")
        assert "ssl-client.xml is not used" in trust_of(config).problem
        assert "not well-formed" in trust_of(config).problem


class TestOrder:
    def test_our_own_property_comes_first(
        self, tmp_path: Path, url: str, authority: Identity, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """And then nobody else is trusted."""
        other = Identity.signed("other")
        (tmp_path / "trust").write_bytes(authority.truststore())
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.write(tmp_path / "a.pem")))
        config = configured(tmp_path, url, location=str(tmp_path / "trust"), password=PASSWORD)
        mine = {"knit.tls.ca-file": other.write(tmp_path / "o.pem")}
        with pytest.raises(ClusterUnreachableError, match="not trusted here"):
            ask(config.with_properties(mine))
        mine = {"knit.tls.ca-file": authority.write(tmp_path / "o.pem")}
        monkeypatch.setenv("SSL_CERT_FILE", str(other.write(tmp_path / "a.pem")))
        assert ask(config.with_properties(mine)) == "ACTIVE"
        with pytest.raises(ConfigurationError, match=r"knit\.tls\.ca-file"):
            ask(config.with_properties({"knit.tls.ca-file": "/no/such"}))

    def test_openssls_variable_comes_beside_the_truststore(
        self, tmp_path: Path, url: str, authority: Identity, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Environments set it for everybody; and who sets it for the cluster needs no other."""
        other = Identity.signed("other")
        (tmp_path / "trust").write_bytes(authority.truststore())
        config = configured(tmp_path, url, location=str(tmp_path / "trust"), password=PASSWORD)
        monkeypatch.setenv("SSL_CERT_FILE", str(other.write(tmp_path / "ca.pem")))
        assert ask(config) == "ACTIVE"
        (tmp_path / "trust").write_bytes(other.truststore())
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.write(tmp_path / "ca.pem")))
        assert ask(config) == "ACTIVE"

    def test_a_variable_of_another_librarys_is_not_looked_at(
        self, tmp_path: Path, url: str, authority: Identity, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.write(tmp_path / "a.pem")))
        with pytest.raises(ClusterUnreachableError, match="not trusted here"):
            ask(configured(tmp_path, url))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_server_that_wants_a_certificate_of_ours_is_told(
    tmp_path: Path, authority: Identity, server: Identity, version: ssl.TLSVersion
) -> None:
    found = listening(server, tmp_path, demands=authority)
    assert isinstance(found._server.socket, ssl.SSLSocket)
    found._server.socket.context.maximum_version = version
    ca_file = authority.write(tmp_path / "ca.pem")
    config = ClusterConfig.from_properties(
        {
            "knit.resourcemanager.url": found.url.replace("http:", "https:"),
            "knit.tls.ca-file": ca_file,
        }
    )
    try:
        with pytest.raises(ClusterUnreachableError) as failure:
            ask(config)
    finally:
        found.stop()
    assert "wants a certificate of its clients" in failure.value.message
    assert "dfs.client.https.need-auth" in failure.value.message
