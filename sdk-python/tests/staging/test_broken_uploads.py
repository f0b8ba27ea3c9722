"""An upload that breaks because a daemon went away is begun anew, so often."""

from __future__ import annotations

from pathlib import Path

import pytest

from knit._staging.staging import Staging
from knit._staging.uploads import UPLOAD_TRIES
from knit._staging.values import StagedFile, StagingProgress
from knit.exceptions import ClusterResponseError, QuotaExceededError
from tests.fakes.cluster import FakeCluster
from tests.fakes.server import Answer, Request
from tests.staging.staged import cached, file


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


def test_a_name_node_that_comes_back_without_data_nodes_is_given_time(
    hadoop: FakeCluster, staging: Staging, tmp_path: Path
) -> None:
    """It was restarted in the middle, and they have yet to find it."""
    broken = [Answer.error(403, "EOFException", "End of File Exception between local host")]
    missing = [Answer.error(403, "IOException", "Failed to find datanode, suggest to check")]
    hadoop.data_node.answers_with = lambda request: (
        broken.pop() if request.method == "PUT" and broken else None
    )
    hadoop.name_node.answers_with = lambda request: (
        missing.pop() if request.query.get("op") == "CREATE" and not broken and missing else None
    )
    [staged] = staging.stage([StagedFile(source=file(tmp_path, "a", b"12345"))])
    assert (staged.size_bytes, broken, missing) == (5, [], [])


def test_where_there_never_was_a_data_node_it_is_not(
    hadoop: FakeCluster, staging: Staging, tmp_path: Path
) -> None:
    answer = Answer.error(403, "IOException", "Failed to find datanode, suggest to check")
    hadoop.name_node.answers_with = lambda request: (
        answer if request.query.get("op") == "CREATE" else None
    )
    with pytest.raises(QuotaExceededError, match="No DataNode could take the data"):
        staging.stage([StagedFile(source=file(tmp_path, "a", b"1"))])
    assert len(hadoop.name_node.asked(op="CREATE")) == 1


def test_one_that_is_refused_is_not(hadoop: FakeCluster, staging: Staging, tmp_path: Path) -> None:
    hadoop.data_node.answers_with = lambda _: Answer.error(
        403, "DSQuotaExceededException", "The DiskSpace quota is exceeded"
    )
    with pytest.raises(QuotaExceededError):
        staging.stage([StagedFile(source=file(tmp_path, "a", b"1"))])
    assert len(hadoop.data_node.requests) == 1
