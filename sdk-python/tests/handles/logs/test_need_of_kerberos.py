"""Streams where the nodes show logs only to who has a ticket, and the application has no keytab."""

from __future__ import annotations

import logging

import attrs
import pytest

from knit import (
    AggregatedLogs,
    Application,
    LogAggregationDisabledError,
    LogsNeedKerberosError,
)
from knit.testing import FakeApplicationMaster, Fault
from knit.testing._archive import FakeArchive
from tests.handles.logs.reading import finish_all, ids, joined


@pytest.fixture(autouse=True)
def _refused(fake: FakeApplicationMaster) -> None:
    fake.fail_next(
        Fault(
            call="StreamLogs",
            status="FAILED_PRECONDITION",
            reason="LOGS_NEED_KERBEROS",
            count=1_000,
        )
    )


@pytest.fixture
def nothing_is_collected_before_the_end(
    fake: FakeApplicationMaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = FakeArchive.look

    def look(archive: FakeArchive) -> AggregatedLogs:
        logs = whole(archive)
        return logs if fake._state.outcome() is not None else attrs.evolve(logs, containers={})

    monkeypatch.setattr(FakeArchive, "look", look)


@pytest.mark.usefixtures("nothing_is_collected_before_the_end")
@pytest.mark.parametrize("only_one", [False, True])
def test_a_stream_that_follows_says_so_waits_and_gives_all_of_it(
    fake: FakeApplicationMaster,
    application: Application,
    caplog: pytest.LogCaptureFixture,
    *,
    only_one: bool,
) -> None:
    first, second = ids(fake)[:2]
    fake.write(first, b"one\n")
    looks = 0

    def look(archive: FakeArchive) -> AggregatedLogs:
        nonlocal looks
        looks += 1
        if looks == 3:  # it was waited for
            fake.write(first, b"two\n")
            fake.write(second, b"other\n")
            finish_all(fake)
            fake.stop()
        return whole(archive)

    whole = FakeArchive.look
    with pytest.MonkeyPatch.context() as patch, caplog.at_level(logging.WARNING, "knit"):
        patch.setattr(FakeArchive, "look", look)
        stream = application.logs(
            follow=True, files=["stdout"], containers=[first] if only_one else None
        )
        assert stream.is_live
        files = joined(stream.chunks())
    assert not stream.is_live
    expected = {(first, "stdout"): b"one\ntwo\n"}
    assert files == (expected if only_one else {**expected, (second, "stdout"): b"other\n"})
    assert stream.incomplete_reason is None
    assert [r.message for r in caplog.records if "ticket" in r.message] == [
        f"Reading the logs of {application.application_id}: the nodes of this cluster show logs "
        "only to who has a Kerberos ticket, and the application has no keytab: they come as YARN "
        "collects them, at the latest after its end."
    ]


@pytest.mark.usefixtures("nothing_is_collected_before_the_end")
def test_one_that_does_not_follow_is_refused_where_nothing_is_collected(
    fake: FakeApplicationMaster, application: Application
) -> None:
    fake.write(ids(fake)[0], b"one\n")
    with pytest.raises(LogsNeedKerberosError, match=r"Follow them.*or submit with a keytab\.$"):
        list(application.logs())


@pytest.fixture
def first(fake: FakeApplicationMaster) -> str:
    """A container that has ended, and of which YARN has collected all while the others run."""
    container_id = ids(fake)[0]
    fake.write(container_id, b"one\ntwo\n")
    fake.finish(container_id)
    fake.collect_logs(container_id)
    return container_id


def test_one_that_does_not_follow_gives_what_is_collected_and_says_that_it_is_not_all(
    application: Application, first: str
) -> None:
    stream = application.logs(files=["stdout"], tail_lines=1)
    (line,) = stream
    assert (line.text, line.container_id) == ("two", first)
    assert stream.incomplete_reason == "The application is still running."


@pytest.mark.parametrize("service", [None, "server", "worker"])
def test_what_is_collected_before_the_end_comes_then_and_under_its_name(
    fake: FakeApplicationMaster, application: Application, first: str, service: str | None
) -> None:
    """Of a service that runs for months there is no record of which container was which."""
    told = {c.container_id: (c.service, c.rank, c.attempt_number) for c in fake.containers()}
    services = None if service is None else [service]
    stream = application.logs(follow=True, files=["stdout"], services=services)
    if service not in (None, told[first][0]):
        finish_all(fake)
        fake.stop()
        assert all(line.container_id != first for line in stream)
        return
    lines = iter(stream)
    line = next(lines)
    assert ((line.service, line.rank, line.attempt_number), line.text) == (told[first], "one")
    assert next(lines).text == "two"
    finish_all(fake)
    fake.stop()
    assert list(lines) == []
    assert stream.incomplete_reason is None


def test_a_cluster_that_keeps_no_logs_says_so(
    fake: FakeApplicationMaster, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    def disabled(_: object) -> AggregatedLogs:
        raise LogAggregationDisabledError("This cluster keeps no logs.")

    monkeypatch.setattr(FakeArchive, "look", disabled)
    fake.write(ids(fake)[0], b"one\n")
    with pytest.raises(LogAggregationDisabledError, match="keeps no logs"):
        list(application.logs(follow=True))
