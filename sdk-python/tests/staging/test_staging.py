"""Files travel to the cluster once, whole, and leave nothing behind that nobody needs."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import threading
import time
from pathlib import Path

import pytest

from knit._cluster.cluster import Cluster
from knit._staging.staging import _PARALLEL_UPLOADS, Staging
from knit._staging.values import ConnectionKeys, KeyPair, LocalResource, StagedFile, StagingProgress
from knit.exceptions import (
    ApplicationNotFoundError,
    ClusterError,
    ClusterResponseError,
    FileMissingError,
    QuotaExceededError,
    SpecError,
)
from tests.fakes.cluster import FakeCluster
from tests.fakes.server import Answer, Request
from tests.staging.staged import ROOT, cached, file

KEYS = ConnectionKeys(
    ca="CA", client_cert="CERT", client_key="KEY", others={"viewer": KeyPair(cert="C", key="K")}
)
APPLICATION = "application_1700000000000_0001"


def test_a_file_lies_in_the_cache_under_its_hash(
    hadoop: FakeCluster, staging: Staging, tmp_path: Path
) -> None:
    content = os.urandom(100_000)
    [resource] = staging.stage([StagedFile(source=file(tmp_path, "a.py", content))])
    name = hashlib.sha256(content).hexdigest() + ".py"
    assert cached(hadoop) == [name]
    entry = hadoop.file_system.entries[f"{ROOT}/cache/{name}"]
    assert entry.data == content
    assert resource == LocalResource(
        url=f"hdfs://127.0.0.1:8020{ROOT}/cache/{name}",
        size_bytes=len(content),
        modify_time_ms=entry.modify_time_ms,
    )
    assert resource.name == name


def test_only_the_user_can_read_any_of_it(
    hadoop: FakeCluster, staging: Staging, tmp_path: Path
) -> None:
    staging.stage([StagedFile(source=file(tmp_path, "a", b"1"))])
    staging.records.register(APPLICATION, [], KEYS)
    entries = hadoop.file_system.entries
    for path in (ROOT, f"{ROOT}/cache", f"{ROOT}/applications"):
        assert entries[path].permission == "700"
    for path in hadoop.file_system.below(ROOT):
        assert entries[path].permission == ("700" if entries[path].is_directory else "600")


def test_the_same_content_travels_once(
    hadoop: FakeCluster, staging: Staging, tmp_path: Path
) -> None:
    one, two = file(tmp_path, "one.py", b"same"), file(tmp_path, "two.py", b"same")
    first = staging.stage([StagedFile(source=one)])
    second = staging.stage([StagedFile(source=two), StagedFile(source=one, archive=True)])
    assert len(hadoop.data_node.requests) == 1
    assert {resource.url for resource in first + second} == {first[0].url}
    assert [resource.type for resource in second] == ["FILE", "ARCHIVE"]


def test_another_client_finds_it_without_sending(
    hadoop: FakeCluster, staging: Staging, tmp_path: Path
) -> None:
    path = file(tmp_path, "a.jar", b"jar")
    first = staging.stage([StagedFile(source=path)])
    sent = len(hadoop.data_node.requests)
    with Cluster(hadoop.config, user="alice") as other:
        assert Staging.on(other).stage([StagedFile(source=path)]) == first
    assert len(hadoop.data_node.requests) == sent


@pytest.mark.parametrize(
    ("name", "extension"),
    [
        ("env.tar.gz", ".tar.gz"),
        ("ENV.TGZ", ".tgz"),
        ("a.b.zip", ".zip"),
        ("script", ""),
        ("notes.v 2", ""),
        ("x.längst", ""),
        (".profile", ""),
        ("data.parquet", ".parquet"),
    ],
)
def test_the_extension_is_kept_where_yarn_can_use_it(
    staging: Staging, tmp_path: Path, name: str, extension: str
) -> None:
    [resource] = staging.stage([StagedFile(source=file(tmp_path, name, b"x"))])
    assert resource.name == hashlib.sha256(b"x").hexdigest() + extension


def test_a_use_is_noted_but_never_in_the_modification_time(
    hadoop: FakeCluster, staging: Staging, tmp_path: Path
) -> None:
    request = StagedFile(source=file(tmp_path, "a", b"1"))
    [resource] = staging.stage([request])
    entry = hadoop.file_system.entries[f"{ROOT}/cache/{resource.name}"]
    staging.stage([request])
    assert not hadoop.name_node.asked(op="SETTIMES"), "used a moment ago"
    entry.access_time_ms -= 2 * 60 * 60 * 1000
    entry.modify_time_ms = then = entry.access_time_ms
    staging.stage([request])
    assert time.time() * 1000 - entry.access_time_ms < 60_000
    assert entry.modify_time_ms == then


def test_where_no_access_times_are_recorded_a_mark_has_the_time_of_the_last_use(
    hadoop: FakeCluster, staging: Staging, tmp_path: Path
) -> None:
    hadoop.name_node.records_access_times = False
    request = StagedFile(source=file(tmp_path, "a", b"1"))
    [resource] = staging.stage([request])
    entry = hadoop.file_system.entries[f"{ROOT}/cache/{resource.name}"]
    entry.access_time_ms = 0
    entry.modify_time_ms -= 2 * 60 * 60 * 1000
    [again] = staging.stage([request])
    assert again.modify_time_ms == entry.modify_time_ms
    assert cached(hadoop) == [resource.name, f"{resource.name}.used"]
    sent = len(hadoop.data_node.requests)
    staging.stage([request])
    assert len(hadoop.data_node.requests) == sent, "noted a moment ago"


def test_an_entry_of_the_wrong_size_is_sent_again(
    hadoop: FakeCluster, staging: Staging, tmp_path: Path
) -> None:
    request = StagedFile(source=file(tmp_path, "a", b"123"))
    [resource] = staging.stage([request])
    hadoop.file_system.write(f"{ROOT}/cache/{resource.name}", "alice", b"1")
    [again] = staging.stage([request])
    assert hadoop.file_system.entries[f"{ROOT}/cache/{resource.name}"].data == b"123"
    assert again.size_bytes == 3
    assert cached(hadoop) == [resource.name]


def test_two_clients_may_send_the_same_at_once(
    hadoop: FakeCluster, staging: Staging, tmp_path: Path
) -> None:
    path = file(tmp_path, "a.bin", os.urandom(50_000))
    both = threading.Barrier(2, timeout=5)

    def meet(request: Request) -> Answer | None:
        if request.query.get("op") == "RENAME":
            both.wait()
        return None

    hadoop.name_node.answers_with = meet
    found: list[list[LocalResource]] = []
    with Cluster(hadoop.config, user="alice") as other:
        threads = [
            threading.Thread(target=lambda s=s: found.append(s.stage([StagedFile(source=path)])))
            for s in (staging, Staging.on(other))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found[0] == found[1]
    assert len(cached(hadoop)) == 1


def test_many_files_arrive_in_the_order_they_were_asked_for(
    staging: Staging, tmp_path: Path
) -> None:
    requests = [StagedFile(source=file(tmp_path, f"{n}", b"%d" % n)) for n in range(20)]
    names = [resource.name for resource in staging.stage(requests)]
    assert names == [hashlib.sha256(b"%d" % n).hexdigest() for n in range(20)]
    assert staging.stage([]) == []


def test_progress_adds_up_to_what_is_sent(staging: Staging, tmp_path: Path) -> None:
    requests = [StagedFile(source=file(tmp_path, f"{n}", bytes([n]) * 3_000_000)) for n in (1, 2)]
    staging.stage(requests[:1])
    seen: list[StagingProgress] = []
    staging.stage(requests, seen.append)
    assert [report.cached for report in seen if report.file.endswith("1")] == [True]
    assert seen[-1].sent_bytes == seen[-1].total_bytes == 3_000_000
    assert [report.sent_bytes for report in seen] == sorted(report.sent_bytes for report in seen)


class TestFailures:
    def test_a_missing_file_is_told(self, hadoop: FakeCluster, staging: Staging) -> None:
        with pytest.raises(FileMissingError, match="/no/such does not exist on this machine"):
            staging.stage([StagedFile(source=Path("/no/such"))])
        with pytest.raises(FileMissingError, match="does not exist on the cluster"):
            staging.stage([StagedFile(source="hdfs:///no/such")])

    def test_what_is_no_file_is_told(self, staging: Staging, tmp_path: Path) -> None:
        with pytest.raises(SpecError, match="cannot be read"):
            staging.stage([StagedFile(source=tmp_path)])
        with pytest.raises(SpecError, match="is a directory"):
            staging.stage([StagedFile(source="hdfs:///user")])

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
    def test_a_file_we_may_not_read_is_told(self, staging: Staging, tmp_path: Path) -> None:
        path = file(tmp_path, "a", b"1")
        path.chmod(stat.S_IWUSR)
        with pytest.raises(SpecError, match="Check its permissions"):
            staging.stage([StagedFile(source=path)])

    def test_a_file_on_another_file_system_is_refused(self, staging: Staging) -> None:
        with pytest.raises(SpecError, match="is not on HDFS"):
            staging.stage([StagedFile(source="s3a://bucket/x")])

    def test_a_broken_upload_leaves_nothing(
        self, hadoop: FakeCluster, staging: Staging, tmp_path: Path
    ) -> None:
        def fail_after_writing(request: Request) -> Answer | None:
            if request.method != "PUT":
                return None
            hadoop.data_node.answer(request)
            return Answer.error(403, "DSQuotaExceededException", "The DiskSpace quota is exceeded")

        hadoop.data_node.answers_with = fail_after_writing
        with pytest.raises(QuotaExceededError):
            staging.stage([StagedFile(source=file(tmp_path, "a", b"1"))])
        assert cached(hadoop) == []

    def test_a_file_that_changes_under_way_never_gets_a_name(
        self, hadoop: FakeCluster, staging: Staging, tmp_path: Path
    ) -> None:
        path = file(tmp_path, "a", b"before")

        def change(request: Request) -> Answer | None:
            if request.query.get("op") == "CREATE":
                path.write_bytes(b"after!")
            return None

        hadoop.name_node.answers_with = change
        with pytest.raises(SpecError, match="changed while it was sent"):
            staging.stage([StagedFile(source=path)])
        assert cached(hadoop) == []

    def test_a_file_that_becomes_shorter_under_way_is_told_at_once(
        self, hadoop: FakeCluster, staging: Staging, tmp_path: Path
    ) -> None:
        """The DataNode would wait for the rest until it gives up, and we for the DataNode."""
        path = file(tmp_path, "a", b"before")

        def cut(request: Request) -> Answer | None:
            if request.query.get("op") == "CREATE":
                path.write_bytes(b"")
            return None

        hadoop.name_node.answers_with = cut
        with pytest.raises(SpecError, match="changed while it was sent"):
            staging.stage([StagedFile(source=path)])
        assert cached(hadoop) == []

    def test_a_file_that_is_deleted_under_way_is_missing(
        self, hadoop: FakeCluster, staging: Staging, tmp_path: Path
    ) -> None:
        path = file(tmp_path, "a", b"before")
        with pytest.raises(FileMissingError, match="does not exist on this machine"):
            staging.stage([StagedFile(source=path)], before_upload=path.unlink)
        assert cached(hadoop) == []

    def test_the_first_failure_ends_the_other_uploads(
        self, hadoop: FakeCluster, staging: Staging, tmp_path: Path
    ) -> None:
        class StopError(Exception):
            pass

        def stop(_: StagingProgress) -> None:
            raise StopError

        big = file(tmp_path, "big", os.urandom(8_000_000))
        with pytest.raises(StopError):
            staging.stage([StagedFile(source=big)], stop)
        with pytest.raises(FileMissingError):
            staging.stage([StagedFile(source=big), StagedFile(source=Path("/no/such"))])
        assert [name for name in cached(hadoop) if name.endswith(".part")] == []

    def test_a_file_that_a_data_node_makes_late_is_removed_too(
        self, hadoop: FakeCluster, staging: Staging, tmp_path: Path
    ) -> None:
        """It may still be about to ask the NameNode for it when the client breaks off."""
        first_delete = threading.Event()
        creations = []

        def create_after_the_delete(request: Request) -> Answer | None:
            def create() -> None:
                assert first_delete.wait(5)
                hadoop.data_node.answer(request)

            creation = threading.Thread(target=create)
            creation.start()
            creations.append(creation)
            raise ConnectionAbortedError

        def notice(request: Request) -> Answer | None:
            if request.query.get("op") != "DELETE" or first_delete.is_set():
                return None
            answer = hadoop.name_node.answer(request)
            first_delete.set()
            return answer

        hadoop.data_node.answers_with = create_after_the_delete
        hadoop.name_node.answers_with = notice
        with pytest.raises(ClusterError):
            staging.stage([StagedFile(source=file(tmp_path, "a", b"1"))])
        for creation in creations:
            creation.join(5)
        assert creations
        assert cached(hadoop) == []

    def test_nothing_is_sent_before_it_may(
        self, hadoop: FakeCluster, staging: Staging, tmp_path: Path
    ) -> None:
        def refuse() -> None:
            raise SpecError("not on this cluster")

        with pytest.raises(SpecError, match="not on this cluster"):
            staging.stage([StagedFile(source=file(tmp_path, "a", b"1"))], before_upload=refuse)
        assert not hadoop.name_node.asked(op="CREATE")


def test_a_file_on_the_cluster_is_used_in_place(hadoop: FakeCluster, staging: Staging) -> None:
    entry = hadoop.file_system.write("/data/my env.zip", "bob", b"zip")
    expected = LocalResource(
        url="hdfs://127.0.0.1:8020/data/my%20env.zip",
        size_bytes=3,
        modify_time_ms=entry.modify_time_ms,
        type="ARCHIVE",
        visibility="PUBLIC",
    )
    for url in (
        "hdfs:///data/my%20env.zip",
        "hdfs:/data/my%20env.zip",
        "hdfs://127.0.0.1:8020/data/my%20env.zip",
        "hdfs://127.0.0.1/data/my%20env.zip",
    ):
        request = StagedFile(source=url, archive=True, visibility="PUBLIC")
        assert staging.stage([request]) == [expected]
    assert not hadoop.data_node.requests


class TestApplications:
    def test_what_is_registered_can_be_read_by_any_process(
        self, hadoop: FakeCluster, staging: Staging, tmp_path: Path
    ) -> None:
        hadoop.file_system.write("/data/x", "bob", b"1")
        resources = staging.stage(
            [StagedFile(source=file(tmp_path, "a.py", b"1")), StagedFile(source="hdfs:///data/x")]
        )
        staging.records.register(APPLICATION, resources, KEYS)
        with Cluster(hadoop.config, user="alice") as other:
            stored = Staging.on(other).records.read(APPLICATION)
        assert stored.keys == KEYS
        assert stored.cache == (resources[0].name,)
        assert "KEY" not in repr(stored)

    def test_the_file_has_the_form_that_is_agreed(
        self, hadoop: FakeCluster, staging: Staging
    ) -> None:
        staging.records.register(APPLICATION, [], KEYS)
        path = f"{ROOT}/applications/{APPLICATION}/application.json"
        data = hadoop.file_system.entries[path].data
        assert data is not None
        assert json.loads(data) == {
            "version": 1,
            "cache": [],
            "resource_manager": "rm.example:8032",
            "tls": {
                "ca": "CA",
                "client_cert": "CERT",
                "client_key": "KEY",
                "others": {"viewer": {"cert": "C", "key": "K"}},
            },
        }
        assert staging.records.read(APPLICATION).keys == KEYS
        assert staging.directory.url_of_application(
            APPLICATION
        ) == f"hdfs://127.0.0.1:8020{ROOT}/applications/" + (APPLICATION)

    def test_one_that_is_gone_is_told(self, staging: Staging) -> None:
        staging.records.register(APPLICATION, [], KEYS)
        staging.records.remove(APPLICATION)
        staging.records.remove(APPLICATION)
        with pytest.raises(ApplicationNotFoundError, match="It has ended"):
            staging.records.read(APPLICATION)
        assert staging.records.read_address(APPLICATION) is None

    @pytest.mark.parametrize("data", [b"{", b"{}", b'{"cache": 1, "tls": {}}'])
    def test_one_that_cannot_be_read_is_told(
        self, hadoop: FakeCluster, staging: Staging, data: bytes
    ) -> None:
        path = f"{ROOT}/applications/{APPLICATION}/application.json"
        hadoop.file_system.write(path, "alice", data)
        with pytest.raises(ClusterResponseError, match=r"application\.json"):
            staging.records.read(APPLICATION)

    def test_the_address_is_read_where_the_am_wrote_it(
        self, hadoop: FakeCluster, staging: Staging
    ) -> None:
        path = f"{ROOT}/applications/{APPLICATION}/address"
        hadoop.file_system.write(path, "alice", b"node-1:4711\n")
        assert staging.records.read_address(APPLICATION) == "node-1:4711"


def test_the_probe_leaves_nothing(hadoop: FakeCluster, staging: Staging) -> None:
    staging.directory.probe()
    assert cached(hadoop) == []
    hadoop.name_node.data_node_url = "http://unknown.invalid:9864"
    with pytest.raises(ClusterError, match="DataNode"):
        staging.directory.probe()


def test_the_number_of_uploads_at_once_is_bounded(
    hadoop: FakeCluster, staging: Staging, tmp_path: Path
) -> None:
    lock, now, most = threading.Lock(), 0, 0

    def slow(_: Request) -> Answer | None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.02)
        with lock:
            now -= 1
        return None

    hadoop.data_node.answers_with = slow
    staging.stage([StagedFile(source=file(tmp_path, f"{n}", b"%d" % n)) for n in range(12)])
    assert 2 <= most <= _PARALLEL_UPLOADS
