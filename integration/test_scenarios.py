"""What the fake Application Master of `knit.testing` holds of itself, a real one does, too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import knit
import pytest
from knit import Application, Container, Role

from integration import evidence, scenarios
from integration.applications import SMALL, Applications
from integration.clusters import Cluster
from integration.clusters.embedded import EMBEDDED
from integration.waiting import wait_until


@attrs.define
class RealWorld:
    """Applications of a cluster whose containers see this machine's files."""

    applications: Applications
    directory: Path
    apps: list[Application] = attrs.field(factory=list)

    def service(self, **fields: Any) -> knit.Service:
        told = f"'{self.directory}'/$KNIT_CONTAINER_ID"
        command = f"until [ -e {told} ]; do sleep 0.2; done; exit $(cat {told})"
        return knit.Service(command, resources=SMALL, **fields)

    def submit(self, services: dict[str, knit.Service]) -> Application:
        self.apps.append(self.applications.submit(services))
        return self.apps[-1]

    def end(self, container: Container, exit_code: int) -> None:
        assert container.container_id is not None
        # By another name first: the container must not see it empty.
        being_written = self.directory / "told"
        being_written.write_text(str(exit_code))
        being_written.rename(self.directory / container.container_id)

    def until(self, holds: Callable[[], bool], what: str) -> None:
        wait_until(holds, what=what, evidence=lambda: evidence.of(self.apps[-1]))

    def rest(self) -> None:
        """They are over by themselves."""

    def as_role(self, app: Application, role: Role) -> Application:
        keys = app.endpoint(role=role).save(self.directory / role.name)
        return knit.connect(keys)


@pytest.fixture
def world(applications: Applications, cluster: Cluster, tmp_path: Path) -> RealWorld:
    if cluster.name != EMBEDDED:
        pytest.skip("containers see the files of this machine on this machine only")
    return RealWorld(applications, tmp_path)


@pytest.mark.parametrize("play", scenarios.ALL, ids=lambda play: play.__name__)
def test_it_holds_on_a_cluster(world: RealWorld, play: Callable[[RealWorld], None]) -> None:
    play(world)
