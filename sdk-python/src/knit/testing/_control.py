"""Changes of the services of a fake's application, by the contract's rules."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from knit.testing import _waiting
from knit.testing._calls import check_running, check_services
from knit.testing._refusals import Refusal, invalid, no_such_container
from knit.testing._roles import Caller, refuse_more_access
from knit.testing._service import FINAL, FakeService, needs_containers
from knit.testing._state import FakeState
from knit.v1 import application_service_pb2 as pb
from knit.v1 import container_pb2, key_value_pb2, service_pb2

_KEEPS = ("instances", "depends", "starts_together")


def add_services(
    state: FakeState, request: pb.AddServicesRequest, caller: Caller
) -> pb.AddServicesResponse:
    """All of them or none."""
    check_running(state)
    for name in request.services:
        if name in state.services:
            raise Refusal(
                "ALREADY_EXISTS",
                "SERVICE_EXISTS",
                f"A service {name!r} is or was there.",
                {"service_name": name},
            )
    known = {*state.services, *request.services}
    for name, spec in request.services.items():
        for dependency in spec.depends:
            if dependency.service_name not in known:
                raise invalid(f"{name!r} depends on {dependency.service_name!r}, which is none.")
        refuse_more_access(caller, name, spec)
    for name, spec in sorted(request.services.items()):
        state.add_service(name, spec)
    _waiting.settle(state)
    return pb.AddServicesResponse(services=_statuses(state, request.services))


def remove_services(
    state: FakeState, request: pb.RemoveServicesRequest
) -> pb.RemoveServicesResponse:
    """Stops their containers."""
    check_services(state, request.service_names)
    _check_unneeded(state, request.service_names)
    for name in request.service_names:
        service = state.services[name]
        service.is_removed, service.target = True, 0
        state.stop(state.of_service(name))
    return pb.RemoveServicesResponse(services=_statuses(state, request.service_names))


def update_service(
    state: FakeState, request: pb.UpdateServiceRequest, caller: Caller
) -> pb.UpdateServiceResponse:
    """Begins an update, or steers one."""
    check_services(state, [request.service_name])
    service = state.services[request.service_name]
    _check_there(service)
    action = request.WhichOneof("action")
    if action is None:
        raise invalid("The request says nothing of what is to happen.")
    if action == "spec":
        check_running(state)
        refuse_more_access(caller, service.name, request.spec)
        _begin_update(service, request)
    else:
        _steer(service, action)
    return pb.UpdateServiceResponse(service=_statuses(state, [service.name])[0])


def _begin_update(service: FakeService, request: pb.UpdateServiceRequest) -> None:
    if request.from_revision not in (0, service.revision):
        raise Refusal(
            "FAILED_PRECONDITION",
            "REVISION_CHANGED",
            f"The service {service.name!r} is of revision {service.revision}, and not "
            f"{request.from_revision}.",
            {"revision": service.revision, "from_revision": request.from_revision},
        )
    if service.update is not None and not request.replaces_update:
        raise Refusal(
            "FAILED_PRECONDITION",
            "UPDATE_UNDER_WAY",
            f"Another update of {service.name!r} is under way.",
            {"to_revision": service.update.to_revision},
        )
    new = service_pb2.ServiceSpec()
    new.CopyFrom(request.spec)
    for name in _KEEPS:
        if name == "instances":
            continue
        if getattr(new, name) != getattr(service.spec, name):
            raise invalid(f"An update changes no {name}.")
    if new.instances != service.spec.instances:
        raise invalid("An update changes no instances: scale the service.")
    if request.keeps_environment:
        for name, value in service.spec.environment.items():
            if new.environment.get(name) == "":
                new.environment[name] = value
    old, service.spec = service.spec, new
    service.revision += 1
    if needs_containers(old, new):
        service.previous = old
        service.update = service_pb2.ServiceUpdate(
            from_revision=service.revision - 1,
            to_revision=service.revision,
            state=service_pb2.UPDATE_STATE_UPDATING,
        )


def _steer(service: FakeService, action: str) -> None:
    update = service.update
    if update is None or service.previous is None:
        raise Refusal(
            "FAILED_PRECONDITION", "NO_UPDATE", f"No update of {service.name!r} is under way."
        )
    if action == "pause":
        update.state = service_pb2.UPDATE_STATE_PAUSED
    elif action == "go_on":
        update.state = service_pb2.UPDATE_STATE_UPDATING
    else:
        update.state = service_pb2.UPDATE_STATE_ROLLING_BACK
        service.spec, service.previous = service.previous, service.spec
        update.from_revision, update.to_revision = update.to_revision, update.from_revision
        service.revision = update.to_revision


def finish_update(state: FakeState, name: str) -> None:
    """All ranks of a service pass to the revision that is to come, and run."""
    with state.turn():
        service = state.services[name]
        if service.update is None:
            raise ValueError(f"No update of {name!r} is under way.")
        for container in state.of_service(name):
            if container.revision == service.update.to_revision or container.state in FINAL:
                continue
            state.stop([container], container_pb2.EXIT_REASON_REPLACED)
            if state.request(name, container.rank).state == container_pb2.CONTAINER_STATE_REQUESTED:
                state.grant(name, container.rank)
        service.update = service.previous = None


def pause_update(state: FakeState, name: str, explanation: str) -> None:
    """An update of a service waits for somebody to decide."""
    with state.turn():
        update = state.services[name].update
        if update is None:
            raise ValueError(f"No update of {name!r} is under way.")
        update.state, update.explanation = service_pb2.UPDATE_STATE_PAUSED, explanation


def scale_service(state: FakeState, request: pb.ScaleServiceRequest) -> pb.ScaleServiceResponse:
    """Adds containers, or stops some."""
    check_services(state, [request.service_name])
    check_running(state)
    service = state.services[request.service_name]
    _check_there(service)
    amount = request.WhichOneof("amount")
    if amount is None:
        raise invalid("The request says neither a count nor a delta.")
    wanted = request.count if amount == "count" else max(0, service.target + request.delta)
    if wanted < 0:
        raise invalid("The count is negative.")
    fewer = service.target - wanted
    if len(request.victims) > max(0, fewer):
        raise invalid("More containers are named than are to go.")
    response = pb.ScaleServiceResponse()
    if fewer < 0:
        ranks = service.free_ranks(-fewer)
        response.added.extend(state.add(service.name, -fewer, ranks=ranks))
    elif fewer:
        victims = _victims(state, service, request, fewer)
        response.stopped.extend(state.stop(victims, container_pb2.EXIT_REASON_SCALED_DOWN))
        service.ranks -= {victim.rank for victim in victims}
        service.target = len(service.ranks)
    response.service.CopyFrom(_statuses(state, [service.name])[0])
    return response


def _victims(
    state: FakeState, service: FakeService, request: pb.ScaleServiceRequest, fewer: int
) -> list[container_pb2.Container]:
    named = [find_ref(state, ref) for ref in request.victims]
    taken = {victim.ordinal for victim in named}
    others = [c for c in state.of_service(service.name) if c.ordinal not in taken]
    order = request.order or service.spec.scale_down_order
    if order == service_pb2.SCALE_DOWN_ORDER_NEWEST_FIRST:
        others.sort(key=lambda c: -c.ordinal)
    elif order == service_pb2.SCALE_DOWN_ORDER_OLDEST_FIRST:
        others.sort(key=lambda c: c.ordinal)
    else:
        others.sort(key=lambda c: -c.rank)
    return (named + others)[:fewer]


def find_ref(state: FakeState, ref: key_value_pb2.ContainerRef) -> container_pb2.Container:
    """The container of a service and ordinal."""
    found = state.find_ref(ref.service_name, ref.ordinal)
    if found is None:
        raise no_such_container(f"{ref.service_name}#{ref.ordinal}")
    return found


def restart(
    state: FakeState, containers: Sequence[container_pb2.Container]
) -> list[container_pb2.Container]:
    """Stops containers, and asks for the next attempt of each rank."""
    check_running(state)
    for container in containers:
        _check_there(state.services[container.service_name])
    ranks = sorted({(c.service_name, c.rank) for c in containers})
    latest = [c for rank in ranks if (c := state.find_place(*rank)) is not None]
    state.stop(latest, container_pb2.EXIT_REASON_RESTARTED)
    return [state.request(c.service_name, c.rank, c) for c in latest]


def _check_unneeded(state: FakeState, names: Iterable[str]) -> None:
    for service in state.services.values():
        if service.has_begun or service.is_removed or service.name in names:
            continue
        for dependency in service.spec.depends:
            if dependency.service_name in names:
                raise Refusal(
                    "FAILED_PRECONDITION",
                    "SERVICE_NEEDED",
                    f"The service {service.name!r} waits for {dependency.service_name!r}.",
                    {"service_name": dependency.service_name, "needed_by": service.name},
                )


def _check_there(service: FakeService) -> None:
    if service.is_removed:
        raise Refusal(
            "FAILED_PRECONDITION",
            "SERVICE_REMOVED",
            f"The service {service.name!r} was removed.",
            {"service_name": service.name},
        )


def _statuses(state: FakeState, names: Iterable[str]) -> list[service_pb2.Service]:
    wanted = set(names)
    return [status for status in state.statuses() if status.name in wanted]
