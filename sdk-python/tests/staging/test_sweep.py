"""What nobody needs any more goes, and nothing else does."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator
from datetime import timedelta
from email.utils import formatdate

import pytest

from knit._cluster.cluster import Cluster
from knit._staging.staging import Staging
from knit._staging.sweep import CACHE_LIFETIME, STRANGERS_LIFETIME, Sweep, Sweeping
from knit._staging.values import ConnectionKeys, LocalResource
from knit.exceptions import StandbyError
from tests.fakes.cluster import FakeCluster
from tests.fakes.hdfs import Entry
from tests.fakes.server import Answer, Request

ROOT = "/user/alice/.knit"
KEYS = ConnectionKeys(ca="CA", client_cert="CERT", client_key="KEY")
NEWEST = "application_1700000000000_0900"


@pytest.fixture
def hadoop() -> Iterator[FakeCluster]:
    with FakeCluster() as cluster:
        yield cluster


@pytest.fixture
def cluster(hadoop: FakeCluster) -> Iterator[Cluster]:
    with Cluster(hadoop.config, user="alice", timeout=timedelta(seconds=5)) as cluster:
        yield cluster


def sweep(cluster: Cluster) -> list[str]:
    return Sweep(Staging.on(cluster), cluster.resource_manager, newest=NEWEST).run()


def submitted(
    hadoop: FakeCluster,
    cluster: Cluster,
    number: int,
    *uses: str,
    ended: timedelta | None = None,
    known: bool = True,
) -> str:
    """An application with a record, which its ResourceManager knows or has forgotten."""
    application_id = f"application_1700000000000_{number:04}"
    cache = [
        LocalResource(
            url=Staging.on(cluster).directory.url(f"{ROOT}/cache/{n}"),
            size_bytes=1,
            modify_time_ms=1,
        )
        for n in uses
    ]
    Staging.on(cluster).records.register(application_id, cache, KEYS)
    if known:
        hadoop.resource_manager.applications[application_id] = {
            "id": application_id,
            "user": "alice",
            "state": "RUNNING" if ended is None else "FINISHED",
            "finishedTime": 0
            if ended is None
            else int((time.time() - ended.total_seconds()) * 1e3),
            "applicationType": "knit",
        }
    return application_id


def applications(hadoop: FakeCluster) -> set[str]:
    below = hadoop.file_system.below(f"{ROOT}/applications")
    return {path.split("/")[5] for path in below}


def cached(hadoop: FakeCluster) -> set[str]:
    return {path.rpartition("/")[2] for path in hadoop.file_system.below(f"{ROOT}/cache")}


def aged(entry: Entry, age: timedelta) -> None:
    entry.access_time_ms = entry.modify_time_ms = int((time.time() - age.total_seconds()) * 1000)


def in_cache(hadoop: FakeCluster, name: str, age: timedelta) -> Entry:
    entry = hadoop.file_system.write(f"{ROOT}/cache/{name}", "alice", b"")
    aged(entry, age)
    return entry


OLD = CACHE_LIFETIME + timedelta(minutes=1)


class TestApplications:
    def test_those_that_have_ended_go(self, hadoop: FakeCluster, cluster: Cluster) -> None:
        old = submitted(hadoop, cluster, 1, ended=timedelta(hours=1))
        recent = submitted(hadoop, cluster, 2, ended=timedelta(minutes=1))
        running = submitted(hadoop, cluster, 3)
        forgotten = submitted(hadoop, cluster, 4, known=False)
        in_flight = submitted(hadoop, cluster, 899, known=False)
        assert sweep(cluster) == [f"{ROOT}/applications/{name}" for name in (old, forgotten)]
        assert applications(hadoop) == {recent, running, in_flight}

    def test_another_clusters_are_left_alone(self, hadoop: FakeCluster, cluster: Cluster) -> None:
        """Two YARN clusters over one file system: their clients share the directory."""
        other = {**hadoop.properties, "yarn.resourcemanager.address": "other:8032"}
        with FakeCluster() as second:
            properties = {
                **other,
                "yarn.resourcemanager.webapp.address": second.resource_manager.url[7:],
            }
            with Cluster(type(hadoop.config).from_properties(properties), user="alice") as theirs:
                strange = submitted(second, theirs, 1)
                sweep(cluster)
                assert applications(hadoop) == {strange}
                assert Staging.on(theirs).records.read(strange).keys == KEYS
                assert Staging.on(cluster).records.read(strange).resource_manager == "other:8032"

    def test_one_without_a_name_or_a_record_is_left_for_long(
        self, hadoop: FakeCluster, cluster: Cluster
    ) -> None:
        ours = Staging(cluster.files, "hdfs://127.0.0.1:8020", locate=cluster.files_of)
        nameless = "application_1600000000000_0001"
        ours.records.register(nameless, [], KEYS)
        unrecorded = "application_1600000000000_0002"
        hadoop.file_system.write(f"{ROOT}/applications/{unrecorded}/address", "alice", b"a:1")
        for age in (timedelta(0), STRANGERS_LIFETIME - timedelta(hours=1)):
            for name in (nameless, unrecorded):
                aged(hadoop.file_system.entries[f"{ROOT}/applications/{name}"], age)
            assert sweep(cluster) == []
        for name in (nameless, unrecorded):
            aged(
                hadoop.file_system.entries[f"{ROOT}/applications/{name}"],
                STRANGERS_LIFETIME + timedelta(hours=1),
            )
        sweep(cluster)
        assert applications(hadoop) == set()

    def test_ones_own_that_live_are_renewed_for_the_clients_of_others(
        self, hadoop: FakeCluster, cluster: Cluster
    ) -> None:
        name = submitted(hadoop, cluster, 1)
        entry = hadoop.file_system.entries[f"{ROOT}/applications/{name}"]
        aged(entry, timedelta(days=29))
        paths = set(hadoop.file_system.entries)
        assert sweep(cluster) == []
        changed = set(hadoop.file_system.entries) ^ paths
        assert {path.rpartition("/")[0] for path in changed} == {f"{ROOT}/applications/{name}"}

    def test_nothing_goes_while_the_resource_manager_loads_its_applications(
        self, hadoop: FakeCluster, cluster: Cluster
    ) -> None:
        submitted(hadoop, cluster, 1, known=False)
        hadoop.resource_manager.starting = True
        with pytest.raises(StandbyError):
            sweep(cluster)
        assert len(applications(hadoop)) == 1

    def test_one_that_the_list_leaves_out_is_asked_for(
        self, hadoop: FakeCluster, cluster: Cluster
    ) -> None:
        running = submitted(hadoop, cluster, 1)
        hadoop.resource_manager.answers_with = lambda request: (
            Answer.json({"apps": None}) if request.path.endswith("/apps") else None
        )
        assert sweep(cluster) == []
        assert applications(hadoop) == {running}

    def test_one_list_is_enough_for_all(self, hadoop: FakeCluster, cluster: Cluster) -> None:
        for number in range(1, 20):
            submitted(hadoop, cluster, number)
        hadoop.resource_manager.requests.clear()
        hadoop.name_node.requests.clear()
        assert sweep(cluster) == []
        # It is asked twice whether it has loaded its applications: by the sweep, which gives up
        # where it has not, and by the list, which waits.
        asked = [request.path.rpartition("/")[2] for request in hadoop.resource_manager.requests]
        assert asked == ["info", "info", "apps"]
        assert len(hadoop.name_node.requests) <= 3

    def test_a_client_whose_clock_is_wrong_takes_the_clusters(
        self, hadoop: FakeCluster, cluster: Cluster
    ) -> None:
        """By its own, 29 days behind the cluster's, nothing would have ended yet."""
        ahead = 29 * 86_400

        def later(handler: object, timestamp: float | None = None) -> str:
            return formatdate(time.time() + ahead, usegmt=True)

        hadoop.resource_manager._server.RequestHandlerClass.date_time_string = later  # type: ignore[attr-defined]
        name = submitted(hadoop, cluster, 1, ended=-timedelta(days=28))
        sweep(cluster)
        assert name not in applications(hadoop)


class TestCache:
    def test_old_entries_go_unless_an_application_names_them(
        self, hadoop: FakeCluster, cluster: Cluster
    ) -> None:
        submitted(hadoop, cluster, 1, "used")
        for name, age in (("old", OLD), ("used", OLD), ("young", timedelta(days=29))):
            in_cache(hadoop, name, age)
        assert sweep(cluster) == [f"{ROOT}/cache/old"]
        assert cached(hadoop) == {"used", "young"}

    def test_what_another_clusters_application_uses_stays(
        self, hadoop: FakeCluster, cluster: Cluster
    ) -> None:
        theirs = Staging(
            cluster.files,
            "hdfs://127.0.0.1:8020",
            resource_manager="other:8032",
            locate=cluster.files_of,
        )
        used = LocalResource(
            url=f"hdfs://127.0.0.1:8020{ROOT}/cache/theirs", size_bytes=1, modify_time_ms=1
        )
        theirs.records.register("application_1600000000000_0001", [used], KEYS)
        in_cache(hadoop, "theirs", OLD)
        assert sweep(cluster) == []

    @pytest.mark.parametrize("which", ["access_time_ms", "modify_time_ms"])
    def test_the_later_of_both_times_counts(
        self, hadoop: FakeCluster, cluster: Cluster, which: str
    ) -> None:
        """Where access times are not recorded they are 0, or those of the creation."""
        entry = in_cache(hadoop, "a", OLD)
        setattr(entry, which, int(time.time() * 1000))
        assert sweep(cluster) == []

    def test_a_mark_of_use_keeps_an_entry_and_goes_with_it(
        self, hadoop: FakeCluster, cluster: Cluster
    ) -> None:
        in_cache(hadoop, "a", OLD)
        mark = in_cache(hadoop, "a.used", timedelta(days=1))
        assert sweep(cluster) == []
        aged(mark, OLD)
        assert set(sweep(cluster)) == {f"{ROOT}/cache/a", f"{ROOT}/cache/a.used"}

    def test_an_entry_is_looked_at_again_before_it_goes(
        self, hadoop: FakeCluster, cluster: Cluster
    ) -> None:
        """Somebody may use it after the list was made."""
        entry = in_cache(hadoop, "a", OLD)

        def use(request: Request) -> Answer | None:
            if request.query.get("op") != "LISTSTATUS" or not request.path.endswith("cache"):
                return None
            answer = hadoop.name_node.answer(request)
            aged(entry, timedelta(0))
            return answer

        hadoop.name_node.answers_with = use
        assert sweep(cluster) == []
        assert cached(hadoop) == {"a"}

    def test_unfinished_uploads_go_after_a_day(self, hadoop: FakeCluster, cluster: Cluster) -> None:
        in_cache(hadoop, ".x.1.part", timedelta(hours=25))
        in_cache(hadoop, ".x.2.part", timedelta(hours=1))
        sweep(cluster)
        assert cached(hadoop) == {".x.2.part"}

    def test_only_unfinished_uploads_go_while_an_application_cannot_be_read(
        self, hadoop: FakeCluster, cluster: Cluster
    ) -> None:
        name = submitted(hadoop, cluster, 1)
        path = f"{ROOT}/applications/{name}/application.json"
        hadoop.file_system.write(path, "alice", b"?")
        in_cache(hadoop, "a", OLD)
        in_cache(hadoop, ".x.1.part", timedelta(hours=25))
        assert sweep(cluster) == [f"{ROOT}/cache/.x.1.part"]

    def test_a_user_who_never_submitted_has_nothing_to_sweep(self, cluster: Cluster) -> None:
        assert sweep(cluster) == []


def test_one_at_a_time_sweeps() -> None:
    sweeping = Sweeping()
    done: list[int] = []
    for number in range(5):
        sweeping.begin(functools.partial(done.append, number))
    sweeping.wait(timedelta(seconds=30))
    assert done == [0]


def test_a_sweep_is_claimed_once_an_hour(hadoop: FakeCluster, cluster: Cluster) -> None:
    hour = timedelta(hours=1)
    assert Sweep.claim(Staging.on(cluster).directory, hour)
    assert not Sweep.claim(Staging.on(cluster).directory, hour)
    aged(hadoop.file_system.entries[f"{ROOT}/swept"], hour + timedelta(minutes=1))
    assert Sweep.claim(Staging.on(cluster).directory, hour)
