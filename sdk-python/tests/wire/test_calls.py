"""Calls as values: each is one of the contract, and says all that is needed to make it."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from google.protobuf.descriptor import MethodDescriptor

from knit import ContainerState, FinalStatus, LogFile, Resources
from knit._wire import calls
from knit._wire.calls import Call, ContainerPages
from knit.v1 import (
    application_pb2,
    application_service_pb2,
    container_pb2,
    container_service_pb2,
    log_service_pb2,
)

APPLICATION = "application_1700000000000_0001"
CONTAINER = "container_1700000000000_0001_01_000002"
SERVICES = {
    "application": application_service_pb2.DESCRIPTOR.services_by_name["ApplicationService"],
    "containers": container_service_pb2.DESCRIPTOR.services_by_name["ContainerService"],
    "logs": log_service_pb2.DESCRIPTOR.services_by_name["LogService"],
}


def rank_of(container: container_pb2.Container) -> int:
    return container.rank


def pages(**options: object) -> ContainerPages[int]:
    arguments: dict[str, object] = {"services": [], "states": [], **options}
    return ContainerPages(APPLICATION, read=rank_of, **arguments)  # type: ignore[arg-type]


CALLS: list[Call[Any]] = [
    calls.get_application(APPLICATION),
    calls.shutdown(APPLICATION, FinalStatus.KILLED, "because"),
    pages().next_call(),
    calls.add_containers(
        APPLICATION,
        service="worker",
        count=2,
        resources=Resources("1 GiB", 2),
        environment={"A": "b"},
        history_id="h",
        read=rank_of,
    ),
    calls.stop_containers(APPLICATION, container_ids=[CONTAINER], places=[], read=rank_of),
    calls.list_log_files(CONTAINER),
]


def method_of(call: Call[Any]) -> MethodDescriptor:
    return SERVICES[call.service].methods_by_name[call.method]


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.method)
def test_each_call_sends_what_the_contract_takes(call: Call[Any]) -> None:
    assert call.request.DESCRIPTOR is method_of(call).input_type
    assert call.what[0].isupper()
    assert APPLICATION in call.what or CONTAINER in call.what


def test_every_call_that_a_handle_makes_is_one_of_these() -> None:
    """Of the contract, only what other clients report is left out, and what is a stream."""
    made = {(call.service, call.method) for call in CALLS}
    there = {(name, each.name) for name, service in SERVICES.items() for each in service.methods}
    assert made < there
    missing = {
        *(("application", f"{verb}Services") for verb in ("List", "Add", "Remove")),
        *(("application", f"{verb}Service") for verb in ("Scale", "Update")),
        ("application", "UpdateApplication"),
        ("application", "ReportProgress"),
        ("containers", "RestartContainers"),
        ("containers", "ReportReady"),
        ("logs", "StreamLogs"),
    }
    assert there - made == missing


def test_only_what_a_node_may_have_answered_is_not_repeated() -> None:
    assert [call.method for call in CALLS if not call.is_repeatable] == ["ListLogFiles"]


def test_adding_is_told_from_adding_again() -> None:
    """A repeated call carries the same request ID; another call another one."""
    first, second = (
        calls.add_containers(
            APPLICATION,
            service="worker",
            count=1,
            resources=None,
            environment=None,
            history_id="h",
            read=rank_of,
        ).request
        for _ in range(2)
    )
    assert isinstance(first, container_service_pb2.AddContainersRequest)
    assert isinstance(second, container_service_pb2.AddContainersRequest)
    assert first.request_id
    assert first.request_id != second.request_id
    assert not first.HasField("resource")


def test_an_added_container_is_asked_for_in_full() -> None:
    request = CALLS[3].request
    assert isinstance(request, container_service_pb2.AddContainersRequest)
    assert (request.service_name, request.count, request.history_id) == ("worker", 2, "h")
    assert (request.resource.memory_mib, request.resource.vcores) == (1024, 2)
    assert dict(request.environment) == {"A": "b"}


def test_containers_are_stopped_by_their_ids_and_places() -> None:
    request = calls.stop_containers(
        APPLICATION, container_ids=[CONTAINER], places=[("worker", 3)], read=rank_of
    ).request
    assert isinstance(request, container_service_pb2.StopContainersRequest)
    assert list(request.container_ids) == [CONTAINER]
    assert [(place.service_name, place.rank) for place in request.places] == [("worker", 3)]


def test_answers_are_read() -> None:
    response = container_service_pb2.StopContainersResponse(
        containers=[container_pb2.Container(rank=rank) for rank in (4, 2)]
    )
    stop = calls.stop_containers(APPLICATION, container_ids=[], places=[], read=rank_of)
    assert stop.read(response) == [4, 2]

    files = log_service_pb2.ListLogFilesResponse()
    files.files.add(name="stdout", size_bytes=7)
    assert calls.list_log_files(CONTAINER).read(files) == [LogFile("stdout", 7)]

    outcome = calls.shutdown(APPLICATION, FinalStatus.FAILED, "because").read(
        application_service_pb2.ShutdownResponse(
            outcome=application_pb2.ApplicationOutcome(
                final_status=application_pb2.FINAL_STATUS_FAILED, diagnostics="because", exit_code=1
            )
        )
    )
    assert (outcome.final_status, outcome.diagnostics) == (FinalStatus.FAILED, "because")


def page(
    *ranks: int, history: str = "h", token: str = ""
) -> container_service_pb2.ListContainersResponse:
    return container_service_pb2.ListContainersResponse(
        containers=[container_pb2.Container(rank=rank) for rank in ranks],
        history_id=history,
        next_page_token=token,
    )


def token_of(found: ContainerPages[int]) -> str:
    request = found.next_call().request
    assert isinstance(request, container_service_pb2.ListContainersRequest)
    return request.page_token


def test_pages_follow_each_other_to_the_last() -> None:
    found = pages(services=["worker"], states=[ContainerState.RUNNING])
    request = found.next_call().request
    assert isinstance(request, container_service_pb2.ListContainersRequest)
    assert list(request.service_names) == ["worker"]
    assert list(request.states) == [container_pb2.CONTAINER_STATE_RUNNING]
    assert token_of(found) == ""
    found.accept(page(0, 1, token="2"))
    assert token_of(found) == "2"
    assert not found.is_complete
    found.accept(page(2))
    assert found.is_complete
    assert found.items == [0, 1, 2]


def test_a_page_of_another_application_master_begins_the_list_anew() -> None:
    """What the one listed may be gone with it, and its page means nothing to the other."""
    found = pages()
    found.accept(page(0, 1, token="2"))
    found.accept(page(7, history="other"))
    assert (found.items, token_of(found), found.is_complete) == ([], "", False)
    found.accept(page(0, history="other"))
    assert found.items == [0]
    assert found.is_complete


def test_a_refused_page_begins_the_list_anew_but_a_refused_list_does_not() -> None:
    found = pages()
    assert not found.begin_anew()
    found.accept(page(0, token="1"))
    assert found.begin_anew()
    assert (found.items, token_of(found)) == ([], "")


def test_nothing_here_waits_or_sends() -> None:
    source = inspect.getsource(calls)
    assert not {"grpc", "threading", "time", "asyncio", "socket"} & {
        line.split()[1].partition(".")[0]
        for line in source.splitlines()
        if line.strip().startswith(("import ", "from "))
    }
