"""A tree of names over several file systems is worked out as Hadoop's clients do it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from knit._cluster.cluster import Cluster
from knit._cluster.configuration.config import ClusterConfig
from knit._cluster.configuration.viewfs import mount_table
from knit._cluster.logs.directory import ROOT_PROPERTY, LogDirectories, log_place
from knit._staging.staging import Staging
from knit._staging.values import StagedFile
from knit.exceptions import ConfigurationError, FileMissingError, LogsNotFoundError, SpecError
from tests.fakes.cluster import FakeCluster

TABLE = "fs.viewfs.mounttable.c.x"
LINKS = {
    "fs.defaultFS": "viewfs://c.x/",
    f"{TABLE}.link./user": "hdfs://one/user",
    f"{TABLE}.link./data/": "hdfs://two/",
    f"{TABLE}.link./data/deep/er": "hdfs://one/d",
    f"{TABLE}.link./buckets": "s3a://bucket/",
}


def of(**more: object) -> ClusterConfig:
    return ClusterConfig.from_properties({**LINKS, **more})


class TestMountTables:
    @pytest.mark.parametrize(
        ("path", "expected"),
        [
            ("/user", "hdfs://one/user"),
            ("/user/alice//x/", "hdfs://one/user/alice/x"),
            ("/data", "hdfs://two"),
            ("/data/x", "hdfs://two/x"),
            ("/data/deep/x", "hdfs://two/deep/x"),
            ("/data/deep/er/x", "hdfs://one/d/x"),
            ("/buckets/x", "s3a://bucket/x"),
            ("viewfs://c.x/user/a%20b", "hdfs://one/user/a b"),
            ("viewfs:///user", "hdfs://three/u"),
            ("hdfs://four/x", "hdfs://four/x"),
        ],
    )
    def test_the_longest_link_leads_there(self, path: str, expected: str) -> None:
        config = of(**{"fs.viewfs.mounttable.default.link./user": "hdfs://three/u"})
        assert config.resolved(path) == expected

    def test_the_default_table_may_have_a_name(self) -> None:
        config = of(**{"fs.viewfs.mounttable.default.name.key": "c.x"})
        assert config.resolved("viewfs:///user") == "hdfs://one/user"

    @pytest.mark.parametrize("path", ["/", "/users", "/dat", "/tmp/logs"])
    def test_what_no_link_leads_to_is_told_with_those_there_are(self, path: str) -> None:
        with pytest.raises(ConfigurationError, match="/data, /data/deep/er, /user, and no linkFa"):
            of().resolved(path)

    def test_or_is_where_the_fallback_says(self) -> None:
        config = of(**{f"{TABLE}.linkFallback": "hdfs://two/rest"})
        assert config.resolved("/tmp/logs") == "hdfs://two/rest/tmp/logs"
        assert config.resolved("/user/x") == "hdfs://one/user/x"

    def test_all_of_it_may_be_one_file_system(self) -> None:
        config = ClusterConfig.from_properties(
            {
                "fs.defaultFS": "viewfs://all",
                "fs.viewfs.mounttable.all.linkMergeSlash": "hdfs://one/",
            }
        )
        assert config.resolved("/tmp/x") == "hdfs://one/tmp/x"
        assert (config.default_fs, config.home_prefix) == ("hdfs://one", "/user")

    @pytest.mark.parametrize(
        "kind", ["linkNfly.minReplication=2./x", "linkRegex.#.^x", "linkMerge"]
    )
    def test_other_kinds_of_links_are_refused_by_name(self, kind: str) -> None:
        with pytest.raises(ConfigurationError, match=f"{TABLE}.{kind.partition('.')[0]}"):
            _ = of(**{f"{TABLE}.{kind}": "hdfs://one/x,hdfs://two/x"}).default_fs

    def test_one_that_is_not_there_is_told(self) -> None:
        with pytest.raises(ConfigurationError, match=r"viewfs://none has no mount table"):
            mount_table(of(), "none")

    def test_each_hdfs_of_it_is_one_for_which_a_token_is_needed(self) -> None:
        assert set(of().mounted_file_systems) == {"hdfs://one", "hdfs://two"}
        assert (
            ClusterConfig.from_properties({"fs.defaultFS": "hdfs://nn"}).mounted_file_systems == ()
        )

    def test_homes_that_are_not_on_hdfs_are_told(self) -> None:
        with pytest.raises(ConfigurationError, match="s3a://bucket/homes"):
            _ = of(**{f"{TABLE}.homedir": "/buckets/homes"}).default_fs


@pytest.fixture
def one() -> Iterator[FakeCluster]:
    with FakeCluster() as cluster:
        yield cluster


@pytest.fixture
def two() -> Iterator[FakeCluster]:
    with FakeCluster() as cluster:
        yield cluster


@pytest.fixture
def cluster(one: FakeCluster, two: FakeCluster) -> Iterator[Cluster]:
    config = of(
        **{
            "dfs.nameservices": "one,two",
            "dfs.namenode.http-address.one": f"127.0.0.1:{one.name_node.port}",
            "dfs.namenode.http-address.two": f"127.0.0.1:{two.name_node.port}",
            f"{TABLE}.link./home": "hdfs://one/people",
            f"{TABLE}.homedir": "/home",
            f"{TABLE}.link./logs": "hdfs://two/apps",
            ROOT_PROPERTY: "/logs/here",
            "yarn.resourcemanager.webapp.address": f"127.0.0.1:{one.resource_manager.port}",
        }
    )
    with Cluster(config, user="alice", timeout=timedelta(seconds=5)) as cluster:
        yield cluster


class TestUse:
    def test_files_are_staged_in_the_home_that_the_table_leads_to(
        self, one: FakeCluster, cluster: Cluster, tmp_path: object
    ) -> None:
        one.file_system.make("/people/alice", "alice", "700")
        staging = Staging.on(cluster)
        staging.directory.prepare()
        assert staging.directory.root == "/people/alice/.knit"
        assert "/people/alice/.knit/cache" in one.file_system.entries
        assert staging.directory.url("/people/alice/x") == "hdfs://one/people/alice/x"

    def test_files_of_a_specification_are_where_the_links_say(
        self, two: FakeCluster, cluster: Cluster
    ) -> None:
        """YARN is told what it can fetch without a mount table of its own."""
        two.file_system.write("/sets/a b.csv", "alice", b"12345", "644")
        staging = Staging.on(cluster)
        for source in ("viewfs://c.x/data/sets/a%20b.csv", "hdfs://two/sets/a%20b.csv"):
            [found] = staging.stage([StagedFile(source=source)])
            assert (found.url, found.size_bytes) == ("hdfs://two/sets/a%20b.csv", 5)
        with pytest.raises(FileMissingError, match=r"viewfs://c\.x/data/none"):
            staging.stage([StagedFile(source="viewfs://c.x/data/none")])
        with pytest.raises(SpecError, match=r"viewfs://c\.x/buckets/x is not on HDFS"):
            staging.stage([StagedFile(source="viewfs://c.x/buckets/x")])

    def test_logs_are_read_where_the_links_say(self, two: FakeCluster, cluster: Cluster) -> None:
        application = "application_1700000000000_0001"
        path = f"/apps/here/alice/logs/{application}/node_45454"
        two.file_system.make_parents(path, "alice")
        two.file_system.write(path, "alice", b"x", "640")
        place = log_place(cluster)
        directories = LogDirectories(
            place.files, cluster.config, lambda _: None, address=place.file_system
        )
        [found] = directories.list_files(application, "alice")
        assert (place.file_system, found.path) == ("hdfs://two", path)

    def test_logs_that_no_link_leads_to_are_told(self, cluster: Cluster) -> None:
        config = cluster.config.with_properties({ROOT_PROPERTY: "/elsewhere"})
        directories = LogDirectories(cluster.files, config, lambda _: None)
        with pytest.raises(LogsNotFoundError, match="is on no file system"):
            directories.list_files("application_1700000000000_0001", "alice")


def test_the_address_of_the_default_one_is_not_another_ones(
    one: FakeCluster, two: FakeCluster
) -> None:
    """Without a nameservice it is known by its host and the usual ports."""
    with Cluster(one.config, user="alice") as cluster:
        other = cluster.files_of("hdfs://other.invalid:8020/x")
        assert other.files.address == "http://other.invalid:9870"
        assert cluster.files_of("hdfs://127.0.0.1/x").files is cluster.files
