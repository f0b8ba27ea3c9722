"""Handles that a client gives: their time, their blocks, their connections."""

from __future__ import annotations

import copy
import gc
import pickle
import threading
import time
from datetime import timedelta
from typing import Any

import pytest
import urllib3

from knit import (
    ApplicationFailedError,
    Client,
    ClusterTimeoutError,
    FinalStatus,
    WaitTimeoutError,
    YarnState,
)
from tests.fakes.cluster import FakeCluster
from tests.fakes.server import Answer, FakeServer, Request, closed_port
from tests.handles.client.submitting import SPEC


def silent(server: FakeServer) -> None:
    """It takes requests, and answers none for a long time."""

    def wait(_: Request) -> None:
        time.sleep(20)

    server.answers_with = wait


@pytest.fixture
def timeouts(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the transport to the cluster's daemons was given for each request of this thread."""
    given: list[float] = []
    here = threading.current_thread()
    request = urllib3.PoolManager.request

    def noting(self: urllib3.PoolManager, *args: Any, **kwargs: Any) -> Any:
        if threading.current_thread() is here:  # who sweeps meanwhile has a time of its own
            given.append(kwargs["timeout"].total)
        return request(self, *args, **kwargs)

    monkeypatch.setattr(urllib3.PoolManager, "request", noting)
    return given


def test_a_timeout_bounds_what_is_read_for_a_call(
    cluster: FakeCluster, client: Client, timeouts: list[float]
) -> None:
    application_id = "application_1700000000000_0007"
    cluster.resource_manager.applications[application_id] = {
        "id": application_id,
        "state": "RUNNING",
        "amRPCAddress": f"127.0.0.1:{closed_port()}",
    }
    silent(cluster.name_node)
    with pytest.raises(ClusterTimeoutError):
        client.application(application_id).describe(timeout=timedelta(seconds=1.2))
    assert {request.path.split("/")[1] for request in cluster.name_node.requests} == {"webhdfs"}
    assert max(timeouts) <= 1.2


def test_a_timeout_bounds_a_kill_and_what_is_cleared_up_after_it(
    cluster: FakeCluster, client: Client, timeouts: list[float]
) -> None:
    application = client.submit(SPEC)
    silent(cluster.name_node)
    timeouts.clear()
    assert application.kill(timeout=timedelta(seconds=1)).state is YarnState.KILLED
    assert application.kill(timeout=timedelta()).state is YarnState.KILLED
    assert max(timeouts) <= 1


class Interrupted(BaseException):
    """Stands for KeyboardInterrupt, which would end the tests."""


@pytest.mark.parametrize("error", [KeyError, Interrupted, KeyboardInterrupt])
def test_a_block_left_by_an_exception_kills_what_it_submitted(
    cluster: FakeCluster, client: Client, error: type[BaseException]
) -> None:
    def leave_badly() -> None:
        with client.submit(SPEC):
            raise error

    with pytest.raises(error):
        leave_badly()
    assert [app["state"] for app in cluster.resource_manager.applications.values()] == ["KILLED"]


def test_a_block_left_otherwise_lets_the_application_run(
    cluster: FakeCluster, client: Client
) -> None:
    with client.submit(SPEC) as application:
        pass
    # It is not this one's to kill: it was submitted by somebody else.
    with pytest.raises(KeyError), client.application(application.application_id):
        raise KeyError
    states = [app["state"] for app in cluster.resource_manager.applications.values()]
    assert "KILLED" not in states


def test_what_cannot_be_killed_on_the_way_out_hides_no_exception(
    cluster: FakeCluster, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    def leave_badly() -> None:
        with client.submit(SPEC) as application:
            refuse = Answer.error(500, "YarnRuntimeException", "out of order")
            cluster.resource_manager.answers_with = lambda _: refuse
            assert application.application_id
            raise KeyError

    with pytest.raises(KeyError):
        leave_badly()
    assert "may still run" in caplog.text
    assert "knit kill application_" in caplog.text


def test_running_stays_to_the_end(cluster: FakeCluster, client: Client) -> None:
    manager = cluster.resource_manager

    def end(number: int, status: str) -> None:
        while len(manager.submissions) < number:
            time.sleep(0.01)
        manager.change(list(manager.submissions)[-1], state="FINISHED", finalStatus=status)

    results = [("SUCCEEDED", None), ("FAILED", ApplicationFailedError)]
    for number, (status, expected) in enumerate(results, start=1):
        ending = threading.Thread(target=end, args=(number, status))
        ending.start()
        if expected is None:
            assert client.run(SPEC).final_status is FinalStatus.SUCCEEDED
        else:
            with pytest.raises(expected):
                client.run(SPEC)
        ending.join()


def test_running_kills_what_does_not_end_in_time(cluster: FakeCluster, client: Client) -> None:
    with pytest.raises(WaitTimeoutError):
        client.run(SPEC, timeout=timedelta(seconds=0.1))
    assert [app["state"] for app in cluster.resource_manager.applications.values()] == ["KILLED"]


def test_handles_that_nobody_holds_are_not_kept(client: Client) -> None:
    kept = client.application("application_1700000000000_0001")
    for number in range(100):
        client.application(f"application_1700000000000_{number:04}")
    gc.collect()
    assert list(client._handles) == [kept]


def test_a_pickled_client_opens_connections_of_its_own(
    cluster: FakeCluster, client: Client
) -> None:
    client.submit(SPEC)
    for copied in (pickle.loads(pickle.dumps(client)), copy.deepcopy(client)):
        with copied:
            assert (copied.user, copied._timeout) == (client.user, client._timeout)
            assert len(copied.applications()) == 1
    assert len(client.applications()) == 1
