"""The scenarios that the suite plays on a cluster hold of the fake Application Master, too."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from knit import Application, ApplicationSpec, Container, ContainerState, Role, Service
from knit.testing import FakeApplicationMaster

if TYPE_CHECKING:
    from integration import scenarios
else:
    # The suite is beside the SDK, and on no path of its tests.
    _file = Path(__file__).parents[3] / "integration" / "scenarios.py"
    _spec = importlib.util.spec_from_file_location("scenarios", _file)
    scenarios = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(scenarios)


@attrs.define
class FakeWorld:
    """Applications of fake Application Masters."""

    stack: contextlib.ExitStack
    fakes: list[FakeApplicationMaster] = attrs.field(factory=list)

    def service(self, **fields: Any) -> Service:
        return Service("true", **fields)

    def submit(self, services: dict[str, Service]) -> Application:
        fake = FakeApplicationMaster(ApplicationSpec("demo", services), running=False)
        self.fakes.append(self.stack.enter_context(fake))
        return fake.application()

    def end(self, container: Container, exit_code: int) -> None:
        self.fakes[-1].finish(container.container_id, exit_code=exit_code)

    def until(self, holds: Callable[[], bool], what: str) -> None:
        fake = self.fakes[-1]
        while wanted := [c for c in fake.containers() if c.state is ContainerState.REQUESTED]:
            for container in wanted:
                fake.grant(container.service, container.rank)
        assert holds(), what

    def rest(self) -> None:
        self.fakes[-1].advance(timedelta(minutes=5))

    def as_role(self, app: Application, role: Role) -> Application:
        assert app.application_id == self.fakes[-1].application_id
        return self.fakes[-1].application(role=role)


@pytest.fixture
def world() -> Iterator[FakeWorld]:
    with contextlib.ExitStack() as stack:
        yield FakeWorld(stack)


@pytest.mark.parametrize("play", scenarios.ALL, ids=lambda play: play.__name__)
def test_it_holds_of_the_fake(world: FakeWorld, play: Callable[[FakeWorld], None]) -> None:
    play(world)
