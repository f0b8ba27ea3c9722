"""An upload that breaks because a daemon went away is begun anew, so often."""

from __future__ import annotations

from pathlib import Path

import pytest

from knit._staging.staging import Staging
from knit._staging.uploads import UPLOAD_TRIES
from knit._staging.values import StagedFile, StagingProgress
from knit.exceptions import (
    ClusterResponseError,
    NoDataNodeError,
    QuotaExceededError,
    SafeModeError,
)
from tests.fakes.cluster import FakeCluster
from tests.fakes.pauses import Pauses
from tests.fakes.server import Answer, Request
from tests.staging.staged import ROOT, cached, file


@pytest.mark.parametrize(
    "broken",
    [
        Answer.error(403, "ConnectException", "Call From dn to nn failed on connection"),
        Answer.error(403, "StandbyException", "Operation category WRITE is not supported"),
        Answer(201, b"x", cut_off_after=0),
    ],
)
def test_one_that_a_failover_broke_is_sent_again(
    hadoop: FakeCluster, staging: Staging, tmp_path: Path, broken: Answer
) -> None:
    failures: list[str] = []

    def fail(request: Request) -> Answer | None:
        if request.method != "PUT" or len(failures) == UPLOAD_TRIES - 1:
            return None
        failures.append(request.path)
        return broken

    hadoop.data_node.answers_with = fail
    seen: list[StagingProgress] = []
    [staged] = staging.stage(
        [StagedFile(source=file(tmp_path, "a.zip", b"12345"))], progress=seen.append
    )
    assert staged.size_bytes == 5
    assert len(set(failures)) == UPLOAD_TRIES - 1, "each try has a name of its own"
    assert cached(hadoop) == [staged.url.rpartition("/")[2]]
    assert (seen[-1].sent_bytes, seen[-1].total_bytes) == (5, 5)


def test_one_that_breaks_again_and_again_is_given_up(
    hadoop: FakeCluster, staging: Staging, tmp_path: Path
) -> None:
    hadoop.data_node.answers_with = lambda _: Answer.error(403, "ConnectException", "refused")
    with pytest.raises(ClusterResponseError, match="refused"):
        staging.stage([StagedFile(source=file(tmp_path, "a", b"1"))])
    assert len(hadoop.data_node.requests) == UPLOAD_TRIES
    assert cached(hadoop) == []


NO_DATA_NODE = Answer.error(
    403,
    "IOException",
    "File /x could only be written to 0 of the 1 minReplication nodes. There are 0 datanode(s) "
    "running and 0 node(s) are excluded in this operation.",
)
SAFE_MODE = Answer.error(
    403,
    "SafeModeException",
    "Cannot create file /x. Name node is in safe mode.\nIn safe mode extension. Safe mode will be "
    "turned off automatically in 25 seconds.",
)


def register_after(hadoop: FakeCluster, pauses: Pauses, seconds: float) -> None:
    """Has DataNodes find the NameNode when so much was waited."""
    hadoop.name_node.knows_data_nodes = False

    def wait() -> None:
        hadoop.name_node.knows_data_nodes = sum(pauses) > seconds

    pauses.meanwhile = wait


def test_a_name_node_that_knows_no_data_node_yet_is_waited_for(
    hadoop: FakeCluster,
    staging: Staging,
    tmp_path: Path,
    pauses: Pauses,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Longer than any other call does, and said once for all files."""
    register_after(hadoop, pauses, 100)
    files = [StagedFile(source=file(tmp_path, name, name.encode())) for name in "abc"]
    assert len(staging.stage(files)) == len(cached(hadoop)) == 3
    [record] = caplog.records
    assert "knows no DataNode" in record.getMessage()
    assert record.getMessage().endswith("Trying again, for 120 s in all.")


def test_so_it_is_with_what_is_written_down(
    hadoop: FakeCluster, staging: Staging, pauses: Pauses
) -> None:
    """Where all files are on the cluster already, that is the first to be written."""
    staging.directory.prepare()
    register_after(hadoop, pauses, 100)
    staging.records.register("application_1_0001", [], None)
    assert f"{ROOT}/applications/application_1_0001/application.json" in hadoop.file_system.entries


def test_where_there_is_none_that_is_told_in_the_end(
    hadoop: FakeCluster, staging: Staging, tmp_path: Path, pauses: Pauses
) -> None:
    hadoop.name_node.knows_data_nodes = False
    with pytest.raises(NoDataNodeError, match="start the DataNodes"):
        staging.stage([StagedFile(source=file(tmp_path, "a", b"1"))])
    assert 110 < sum(pauses) <= 120
    assert cached(hadoop) == []


@pytest.mark.parametrize("answer", [NO_DATA_NODE, SAFE_MODE])
def test_what_a_data_node_or_httpfs_says_of_it_is_waited_for_too(
    hadoop: FakeCluster, staging: Staging, tmp_path: Path, pauses: Pauses, answer: Answer
) -> None:
    """The NameNode sends one to DataNodes in safe mode, too."""
    hadoop.data_node.answers_with = lambda request: (
        answer if request.method == "PUT" and sum(pauses) < 60 else None
    )
    seen: list[StagingProgress] = []
    [staged] = staging.stage(
        [StagedFile(source=file(tmp_path, "a", b"12345"))], progress=seen.append
    )
    assert (staged.size_bytes, seen[-1].sent_bytes, seen[-1].total_bytes) == (5, 5, 5)
    assert len(hadoop.data_node.requests) > UPLOAD_TRIES
    assert len(cached(hadoop)) == 1


def test_so_it_is_told_in_the_end(
    hadoop: FakeCluster, staging: Staging, tmp_path: Path, pauses: Pauses
) -> None:
    hadoop.data_node.answers_with = lambda _: SAFE_MODE
    with pytest.raises(SafeModeError, match="turned off automatically"):
        staging.stage([StagedFile(source=file(tmp_path, "a", b"1"))])
    assert 110 < sum(pauses) <= 130
    assert cached(hadoop) == []


def test_one_that_is_refused_is_not(hadoop: FakeCluster, staging: Staging, tmp_path: Path) -> None:
    hadoop.data_node.answers_with = lambda _: Answer.error(
        403, "DSQuotaExceededException", "The DiskSpace quota is exceeded"
    )
    with pytest.raises(QuotaExceededError):
        staging.stage([StagedFile(source=file(tmp_path, "a", b"1"))])
    assert len(hadoop.data_node.requests) == 1
