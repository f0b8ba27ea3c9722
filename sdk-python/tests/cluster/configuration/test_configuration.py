"""Hadoop's configuration: read as Hadoop reads it, and told where it is wrong."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest

from knit._cluster.configuration.addresses import is_on
from knit._cluster.configuration.config import ClusterConfig
from knit.exceptions import ConfigurationError, ConfigurationNotFoundError


def write(directory: Path, name: str, body: str) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / name
    path.write_text(f"<?xml version='1.0'?>\n<configuration>{body}</configuration>", "utf-8")
    return path


def prop(name: str, value: str, final: bool = False) -> str:
    mark = "<final>true</final>" if final else ""
    return f"<property><name>{name}</name><value>{value}</value>{mark}</property>"


HA_NAME_NODES = {
    "fs.defaultFS": "hdfs://ns1",
    "dfs.nameservices": "ns1",
    "dfs.ha.namenodes.ns1": "nn1, nn2",
    "dfs.namenode.rpc-address.ns1.nn1": "a:8020",
    "dfs.namenode.rpc-address.ns1.nn2": "b:8020",
    "dfs.namenode.http-address.ns1.nn1": "a:9999",
    "dfs.namenode.http-address.ns1.nn2": "b:9998",
}


class TestFiles:
    def test_values_come_without_surrounding_white_space(self, tmp_path: Path) -> None:
        write(tmp_path, "core-site.xml", prop("fs.defaultFS", "\n   hdfs://nn:8020\n  "))
        assert ClusterConfig.from_directory(tmp_path).default_fs == "hdfs://nn:8020"

    def test_a_later_file_replaces_a_value_unless_it_is_final(self, tmp_path: Path) -> None:
        write(tmp_path, "core-site.xml", prop("a", "1", final=True) + prop("b", "1"))
        write(tmp_path, "yarn-site.xml", prop("a", "2") + prop("b", "2"))
        config = ClusterConfig.from_directory(tmp_path)
        assert (config.get("a"), config.get("b")) == ("1", "2")

    def test_properties_may_be_written_as_attributes(self, tmp_path: Path) -> None:
        write(tmp_path, "core-site.xml", '<property name="a" value="1" final="true"/>')
        assert ClusterConfig.from_directory(tmp_path).get("a") == "1"

    def test_old_names_are_read_as_the_new_ones(self, tmp_path: Path) -> None:
        write(tmp_path, "core-site.xml", prop("fs.default.name", "hdfs://old:9000"))
        assert ClusterConfig.from_directory(tmp_path).default_fs == "hdfs://old:9000"

    def test_malformed_xml_is_told_by_file_and_line(self, tmp_path: Path) -> None:
        (tmp_path / "core-site.xml").write_text("<configuration>\n<property>\n<name>a</nam>\n")
        with pytest.raises(ConfigurationError, match=r"core-site.xml, line 3, column \d+"):
            ClusterConfig.from_directory(tmp_path)

    def test_another_kind_of_file_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "core-site.xml").write_text("<html/>")
        with pytest.raises(ConfigurationError, match="<html>"):
            ClusterConfig.from_directory(tmp_path)

    def test_a_property_without_a_name_is_told(self, tmp_path: Path) -> None:
        write(tmp_path, "core-site.xml", "<property><value>1</value></property>")
        with pytest.raises(ConfigurationError, match="no <name>"):
            ClusterConfig.from_directory(tmp_path)

    def test_includes_are_followed(self, tmp_path: Path) -> None:
        write(tmp_path / "more", "extra.xml", prop("a", "1"))
        write(
            tmp_path,
            "core-site.xml",
            '<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="more/extra.xml"/>',
        )
        assert ClusterConfig.from_directory(tmp_path).get("a") == "1"

    def test_a_missing_include_is_an_error_without_a_fallback(self, tmp_path: Path) -> None:
        include = '<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="no.xml"{}'
        write(tmp_path, "core-site.xml", include.format("/>"))
        with pytest.raises(ConfigurationError, match=r"no\.xml"):
            ClusterConfig.from_directory(tmp_path)
        fallback = f"><xi:fallback>{prop('a', '1')}</xi:fallback></xi:include>"
        write(tmp_path, "core-site.xml", include.format(fallback))
        assert ClusterConfig.from_directory(tmp_path).get("a") == "1"

    def test_files_that_include_each_other_are_told(self, tmp_path: Path) -> None:
        include = '<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="core-site.xml"/>'
        write(tmp_path, "core-site.xml", include)
        with pytest.raises(ConfigurationError, match="include each other"):
            ClusterConfig.from_directory(tmp_path)

    def test_an_include_from_the_network_is_refused(self, tmp_path: Path) -> None:
        include = '<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="http://x/y.xml"/>'
        write(tmp_path, "core-site.xml", include)
        with pytest.raises(ConfigurationError, match="not a local file"):
            ClusterConfig.from_directory(tmp_path)

    def test_a_directory_without_configuration_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationNotFoundError, match=str(tmp_path)):
            ClusterConfig.from_directory(tmp_path)


class TestEnvironment:
    def test_hadoop_conf_dir_comes_first(self, tmp_path: Path) -> None:
        write(tmp_path / "a", "core-site.xml", prop("x", "a"))
        write(tmp_path / "b" / "etc" / "hadoop", "core-site.xml", prop("x", "b"))
        environment = {"HADOOP_CONF_DIR": str(tmp_path / "a"), "HADOOP_HOME": str(tmp_path / "b")}
        assert ClusterConfig.from_environment(environment).get("x") == "a"
        del environment["HADOOP_CONF_DIR"]
        assert ClusterConfig.from_environment(environment).get("x") == "b"

    def test_yarn_conf_dir_has_what_hadoop_conf_dir_lacks(self, tmp_path: Path) -> None:
        write(tmp_path / "a", "core-site.xml", prop("x", "a"))
        write(tmp_path / "b", "yarn-site.xml", prop("y", "b"))
        environment = {
            "HADOOP_CONF_DIR": str(tmp_path / "a"),
            "YARN_CONF_DIR": str(tmp_path / "b"),
        }
        config = ClusterConfig.from_environment(environment)
        assert (config.get("x"), config.get("y")) == ("a", "b")
        assert len(config.sources) == 2

    def test_a_directory_that_does_not_exist_is_told_by_its_variable(self) -> None:
        with pytest.raises(ConfigurationNotFoundError, match="HADOOP_CONF_DIR names /no/such"):
            ClusterConfig.from_environment({"HADOOP_CONF_DIR": "/no/such"})

    def test_nothing_at_all_is_told_with_what_to_do(self) -> None:
        if Path("/etc/hadoop").exists():
            pytest.skip("this machine has a Hadoop configuration")
        with pytest.raises(ConfigurationNotFoundError, match="Set HADOOP_CONF_DIR"):
            ClusterConfig.from_environment({})


class TestFileSystem:
    @pytest.mark.parametrize("value", ["viewfs://c/", "file:///", "s3a://b", "hdfs://", ""])
    def test_what_is_not_hdfs_is_refused(self, value: str) -> None:
        config = ClusterConfig.from_properties({"fs.defaultFS": value})
        with pytest.raises(ConfigurationError, match=r"fs\.defaultFS"):
            _ = config.default_fs

    @pytest.mark.parametrize(
        ("properties", "expected"),
        [
            ({}, ["http://nn:9870", "http://nn:50070"]),
            ({"dfs.namenode.http-address": "0.0.0.0:1234"}, ["http://nn:1234"]),
            ({"dfs.namenode.http-address": "web:1234"}, ["http://web:1234"]),
            ({"dfs.namenode.http-address": "${h}:1", "h": "x"}, ["http://x:1"]),
            ({"dfs.http.policy": "HTTPS_ONLY"}, ["https://nn:9871", "https://nn:50470"]),
            (
                {"dfs.http.policy": "https_only", "dfs.namenode.https-address": "s:443"},
                ["https://s:443"],
            ),
            ({"fs.defaultFS": "hdfs://nn:9000/a/path"}, ["http://nn:9870", "http://nn:50070"]),
            ({"fs.defaultFS": "nn:9000"}, ["http://nn:9870", "http://nn:50070"]),
            ({"fs.default.name": "HDFS://nn"}, ["http://nn:9870", "http://nn:50070"]),
            ({"dfs.http.policy": "HTTP_AND_HTTPS"}, ["http://nn:9870", "http://nn:50070"]),
            (
                {"knit.webhdfs.url": "https://knox/gateway/c/webhdfs/v1/, http://fs:14000"},
                ["https://knox/gateway/c", "http://fs:14000"],
            ),
            ({"fs.defaultFS": "hdfs://[::1]:8020"}, ["http://[::1]:9870", "http://[::1]:50070"]),
            (HA_NAME_NODES, ["http://a:9999", "http://b:9998"]),
            (
                {**HA_NAME_NODES, "dfs.namenode.http-address.ns1.nn1": "0.0.0.0:9870"},
                ["http://a:9870", "http://b:9998"],
            ),
            (
                {"dfs.nameservices": "x,nn", "dfs.namenode.http-address.nn": "web:7"},
                ["http://web:7"],
            ),
        ],
    )
    def test_the_name_nodes_web_addresses(
        self, properties: dict[str, str], expected: list[str]
    ) -> None:
        base = {"fs.defaultFS": "hdfs://nn:8020"}
        base = {**base, **properties}
        if "dfs.nameservices" in properties and "fs.defaultFS" not in properties:
            base["fs.defaultFS"] = "hdfs://nn"
        assert list(ClusterConfig.from_properties(base).name_nodes) == expected

    def test_a_member_without_any_address_is_told(self) -> None:
        properties = {**HA_NAME_NODES}
        del properties["dfs.namenode.rpc-address.ns1.nn1"]
        del properties["dfs.namenode.http-address.ns1.nn1"]
        with pytest.raises(ConfigurationError, match=r"http-address\.ns1\.nn1"):
            _ = ClusterConfig.from_properties(properties).name_nodes


class TestResourceManager:
    @pytest.mark.parametrize(
        ("properties", "expected"),
        [
            ({}, ["http://localhost:8088"]),
            ({"yarn.resourcemanager.hostname": "rm"}, ["http://rm:8088"]),
            ({"yarn.resourcemanager.address": "rm:8032"}, ["http://rm:8088"]),
            ({"yarn.resourcemanager.webapp.address": "rm:1"}, ["http://rm:1"]),
            (
                {
                    "yarn.resourcemanager.webapp.address": "0.0.0.0:1",
                    "yarn.resourcemanager.hostname": "rm",
                },
                ["http://rm:1"],
            ),
            (
                {
                    "yarn.resourcemanager.webapp.address": "${yarn.resourcemanager.hostname}:8088",
                    "yarn.resourcemanager.hostname": "rm",
                },
                ["http://rm:8088"],
            ),
            (
                {"yarn.http.policy": "HTTPS_ONLY", "yarn.resourcemanager.hostname": "rm"},
                ["https://rm:8090"],
            ),
            (
                {
                    "yarn.resourcemanager.ha.enabled": "true",
                    "yarn.resourcemanager.ha.rm-ids": "rm1,rm2",
                    "yarn.resourcemanager.hostname.rm1": "a",
                    "yarn.resourcemanager.webapp.address.rm2": "b:99",
                },
                ["http://a:8088", "http://b:99"],
            ),
            (
                {"yarn.resourcemanager.webapp.address": "${yarn.resourcemanager.hostname}:8188"},
                ["http://localhost:8188"],
            ),
            (
                {"knit.resourcemanager.url": "https://knox:8443/gateway/c/ws/v1/cluster"},
                ["https://knox:8443/gateway/c"],
            ),
        ],
    )
    def test_its_web_addresses(self, properties: dict[str, str], expected: list[str]) -> None:
        assert list(ClusterConfig.from_properties(properties).resource_managers) == expected

    def test_a_pair_without_members_is_told(self) -> None:
        config = ClusterConfig.from_properties({"yarn.resourcemanager.ha.enabled": True})
        with pytest.raises(ConfigurationError, match="rm-ids"):
            _ = config.resource_managers

    @pytest.mark.parametrize("url", ["rm:8088", "ftp://rm", "http://"])
    def test_an_override_that_is_no_url_is_told(self, url: str) -> None:
        config = ClusterConfig.from_properties({"knit.resourcemanager.url": url})
        with pytest.raises(ConfigurationError, match="not a base URL"):
            _ = config.resource_managers

    def test_a_member_without_any_address_is_told(self) -> None:
        """Not taken for this machine, twice."""
        properties = {
            "yarn.resourcemanager.ha.enabled": "true",
            "yarn.resourcemanager.ha.rm-ids": "rm1,rm2",
            "yarn.resourcemanager.hostname.rm1": "a",
        }
        with pytest.raises(ConfigurationError, match=r"'rm2'.*hostname\.rm2"):
            _ = ClusterConfig.from_properties(properties).resource_managers

    def test_a_variable_that_nobody_has_set_is_told(self) -> None:
        config = ClusterConfig.from_properties({"yarn.resourcemanager.webapp.address": "${rm}:1"})
        with pytest.raises(ConfigurationError, match="nobody has set rm"):
            _ = config.resource_managers

    @pytest.mark.parametrize(
        ("properties", "expected"),
        [
            ({"yarn.resourcemanager.address": "RM:8032"}, "rm:8032"),
            ({"yarn.resourcemanager.address": "rm"}, "rm:8032"),
            ({"yarn.resourcemanager.hostname": "rm"}, "rm:8032"),
            ({"yarn.resourcemanager.webapp.address": "rm:1"}, "rm:1"),
            (
                {
                    "yarn.resourcemanager.ha.enabled": "true",
                    "yarn.resourcemanager.ha.rm-ids": "rm2,rm1",
                    "yarn.resourcemanager.hostname.rm2": "B",
                    "yarn.resourcemanager.address.rm1": "a:99",
                },
                "a:99,b:8032",
            ),
        ],
    )
    def test_its_name_is_its_address(self, properties: dict[str, str], expected: str) -> None:
        assert ClusterConfig.from_properties(properties).resource_manager_name == expected

    def test_a_port_that_is_no_number_is_told(self) -> None:
        config = ClusterConfig.from_properties({"yarn.resourcemanager.webapp.address": "rm:http"})
        with pytest.raises(ConfigurationError, match="HOST:PORT"):
            _ = config.resource_managers


def test_a_configuration_does_not_show_its_values() -> None:
    config = ClusterConfig.from_properties({"some.password": "swordfish"})
    assert "swordfish" not in repr(config)


def test_properties_can_be_added() -> None:
    config = ClusterConfig.from_properties({"a": "1"}).with_properties({"b": 2, "c": True})
    assert [config.get(name) for name in "abcd"] == ["1", "2", "true", None]


class TestNames:
    """Properties as Hadoop reads them, though it calls them otherwise now."""

    def test_a_variable_may_have_its_old_name(self) -> None:
        config = ClusterConfig.from_properties(
            {"fs.defaultFS": "hdfs://nn", "logs": "${fs.default.name}/logs"}
        )
        assert config.get("logs") == "hdfs://nn/logs"

    def test_a_variable_may_be_made_of_another(self) -> None:
        config = ClusterConfig.from_properties({"env": "test", "rm.test": "h", "x": "${rm.${env}}"})
        assert config.get("x") == "h"

    def test_a_nameservice_may_have_an_old_name_of_its_own(self) -> None:
        config = ClusterConfig.from_properties({"dfs.http.address.ns1": "a:1"})
        assert config.get("dfs.namenode.http-address.ns1") == "a:1"

    def test_what_has_no_value_may_be_final(self, tmp_path: Path) -> None:
        for name, inner in (
            ("core-site.xml", "<final>true</final>"),
            ("yarn-site.xml", "<value>1</value>"),
        ):
            (tmp_path / name).write_text(
                f"<configuration><property><name>a</name>{inner}</property></configuration>"
            )
        assert ClusterConfig.from_directory(tmp_path).get("a") is None


def test_a_configuration_can_be_copied_and_pickled() -> None:
    config = ClusterConfig.from_properties({"a": "1"})
    for copied in (copy.deepcopy(config), pickle.loads(pickle.dumps(config))):
        assert copied == config
        assert copied.get("a") == "1"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("hdfs:///tmp/logs", True),
        ("hdfs:/tmp/logs", True),
        ("/tmp/logs", True),
        ("hdfs://NN:8020/tmp", True),
        ("hdfs://nn/tmp", True),
        ("hdfs://nn:9000/tmp", False),
        ("hdfs://other/tmp", False),
        ("s3a://nn/tmp", False),
        ("//nn/tmp", False),
    ],
)
def test_a_file_system_is_the_same_however_it_is_written(url: str, expected: bool) -> None:
    assert is_on("hdfs://nn:8020", url) is expected


def test_a_directory_that_may_not_be_looked_at_is_told(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(ConfigurationError, match="loop cannot be looked at"):
        ClusterConfig.from_environment({"HADOOP_CONF_DIR": str(tmp_path / "loop")})
