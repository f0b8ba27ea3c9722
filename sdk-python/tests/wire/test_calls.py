"""Calls as values: each is one of the contract, and says all that is needed to make it."""

from __future__ import annotations

import inspect
from datetime import timedelta
from types import ModuleType
from typing import Any

import pytest
from google.protobuf.descriptor import MethodDescriptor

from knit import ContainerState, FinalStatus, LogFile, Resources
from knit._values import transactions
from knit._values.kv import key_range
from knit._values.references import ContainerRef
from knit._wire.calls import application, containers, kv, logs, services
from knit._wire.calls.call import Call, Pages
from knit._wire.calls.containers import Chosen
from knit.v1 import (
    application_pb2,
    application_service_pb2,
    container_pb2,
    container_service_pb2,
    event_service_pb2,
    key_value_service_pb2,
    log_service_pb2,
    service_pb2,
)

APPLICATION = "application_1700000000000_0001"
CONTAINER = "container_1700000000000_0001_01_000002"
SERVICES = {
    "application": application_service_pb2.DESCRIPTOR.services_by_name["ApplicationService"],
    "containers": container_service_pb2.DESCRIPTOR.services_by_name["ContainerService"],
    "events": event_service_pb2.DESCRIPTOR.services_by_name["EventService"],
    "kv": key_value_service_pb2.DESCRIPTOR.services_by_name["KeyValueService"],
    "logs": log_service_pb2.DESCRIPTOR.services_by_name["LogService"],
}


def rank_of(container: container_pb2.Container) -> int:
    return container.rank


def pages(**options: object) -> Pages[int]:
    arguments: dict[str, object] = {"services": [], "states": [], **options}
    return containers.list_containers(APPLICATION, read=rank_of, **arguments)  # type: ignore[arg-type]


CALLS: list[Call[Any]] = [
    application.get_application(APPLICATION),
    application.shutdown(APPLICATION, FinalStatus.KILLED, "because"),
    pages().next_call(),
    containers.add_containers(
        APPLICATION,
        service="worker",
        count=2,
        resources=Resources("1 GiB", 2),
        environment={"A": "b"},
        history_id="h",
        read=rank_of,
    ),
    containers.stop_containers(APPLICATION, Chosen(ids=(CONTAINER,)), read=rank_of),
    logs.list_log_files(CONTAINER),
    application.get_annotations(APPLICATION),
    application.update_application(
        APPLICATION, set_annotations={"a": b"1"}, remove_annotations=["b"], history_id="h"
    ),
    application.report_progress(APPLICATION, 0.5),
    services.list_services(APPLICATION, ["worker"]).next_call(),
    services.add_services(APPLICATION, {"worker": service_pb2.ServiceSpec()}, history_id="h"),
    services.remove_services(APPLICATION, ["worker"], history_id="h"),
    services.update_service(
        APPLICATION,
        "worker",
        service_pb2.ServiceSpec(),
        from_revision=1,
        keeps_environment=True,
        replaces_update=False,
        history_id="h",
    ),
    services.steer_update(APPLICATION, "worker", "pause", history_id="h"),
    services.scale_service(
        APPLICATION,
        "worker",
        count=3,
        delta=None,
        order=None,
        victims=[ContainerRef("worker", 1)],
        history_id="h",
        read=rank_of,
    ),
    containers.restart_containers(
        APPLICATION, Chosen(services=("worker",)), history_id="h", read=rank_of
    ),
    containers.report_ready(APPLICATION, ContainerRef("worker", 1), is_ready=True),
    kv.get(APPLICATION, "key"),
    kv.read_range(APPLICATION, key_range()),
    kv.put(APPLICATION, transactions.put("key", b"value"), history_id="h"),
    kv.delete(APPLICATION, transactions.delete("key"), history_id="h"),
    kv.commit(APPLICATION, [], [transactions.put("key", b"value")], [], history_id="h"),
    kv.grant_lease(APPLICATION, timedelta(seconds=30)),
    kv.keep_lease(APPLICATION, 1),
    kv.revoke_lease(APPLICATION, 1),
]


def method_of(call: Call[Any]) -> MethodDescriptor:
    return SERVICES[call.service].methods_by_name[call.method]


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.method)
def test_each_call_sends_what_the_contract_takes(call: Call[Any]) -> None:
    assert call.request.DESCRIPTOR is method_of(call).input_type
    assert call.what[0].isupper()
    assert APPLICATION in call.what or CONTAINER in call.what


def test_every_call_that_a_handle_makes_is_one_of_these() -> None:
    """Of the contract, only what is a stream is left out."""
    made = {(call.service, call.method) for call in CALLS}
    there = {(name, each.name) for name, service in SERVICES.items() for each in service.methods}
    assert made < there
    streams = {("logs", "StreamLogs"), ("events", "WatchEvents")}
    assert there - made == streams


CHANGES = [call for call in CALLS if "request_id" in call.request.DESCRIPTOR.fields_by_name]


@pytest.mark.parametrize("call", CHANGES, ids=lambda call: call.method)
def test_every_change_is_told_from_the_same_change_once_more(call: Call[Any]) -> None:
    assert call.request.request_id  # type: ignore[attr-defined]
    if "history_id" in call.request.DESCRIPTOR.fields_by_name:
        named = call.request.history_id  # type: ignore[attr-defined]
        assert named == ("" if call.method == "StopContainers" else "h")


def test_all_that_change_something_and_are_not_safe_by_themselves_are_among_them() -> None:
    assert {call.method for call in CHANGES} == {
        *("UpdateApplication", "AddServices", "RemoveServices", "UpdateService", "ScaleService"),
        *("AddContainers", "StopContainers", "RestartContainers"),
        *("Put", "Delete", "Commit", "GrantLease"),
    }


def test_only_what_a_node_may_have_answered_is_not_repeated() -> None:
    assert [call.method for call in CALLS if not call.is_repeatable] == ["ListLogFiles"]


def test_adding_is_told_from_adding_again() -> None:
    """A repeated call carries the same request ID; another call another one."""
    first, second = (
        containers.add_containers(
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
    request = containers.stop_containers(
        APPLICATION, Chosen(ids=(CONTAINER,), places=(("worker", 3),)), read=rank_of
    ).request
    assert isinstance(request, container_service_pb2.StopContainersRequest)
    assert list(request.container_ids) == [CONTAINER]
    assert [(place.service_name, place.rank) for place in request.places] == [("worker", 3)]


def test_answers_are_read() -> None:
    response = container_service_pb2.StopContainersResponse(
        containers=[container_pb2.Container(rank=rank) for rank in (4, 2)]
    )
    stop = containers.stop_containers(APPLICATION, Chosen(), read=rank_of)
    assert stop.read(response) == [4, 2]

    files = log_service_pb2.ListLogFilesResponse()
    files.files.add(name="stdout", size_bytes=7)
    assert logs.list_log_files(CONTAINER).read(files) == [LogFile("stdout", 7)]

    outcome = application.shutdown(APPLICATION, FinalStatus.FAILED, "because").read(
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


def token_of(found: Pages[int]) -> str:
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


@pytest.mark.parametrize("module", [application, containers, kv, logs, services])
def test_nothing_here_waits_or_sends(module: ModuleType) -> None:
    source = inspect.getsource(module)
    assert not {"grpc", "threading", "time", "asyncio", "socket"} & {
        line.split()[1].partition(".")[0]
        for line in source.splitlines()
        if line.strip().startswith(("import ", "from "))
    }
