"""The deep look of `knit doctor`: one container, and all on its way."""

from __future__ import annotations

from typing import Any

import pytest

import knit
from knit.cli._verbs.doctor import _run_one
from tests.cli import playing
from tests.cli.playing import FakeClient


class Cluster:
    """As much of the command line's cluster as the deep look uses."""

    def __init__(self, play: playing.Play) -> None:
        self.opened = FakeClient(play)

    def client(self) -> FakeClient:
        return self.opened


def look(play: playing.Play) -> tuple[dict[str, knit.CheckResult], FakeClient]:
    cluster: Any = Cluster(play)
    return {c.name: c for c in _run_one(cluster, "default", None)}, cluster.opened


def well(fake: Any, _: object) -> None:
    container_id = fake.containers()[0].container_id
    fake.write(container_id, b"knit doctor\n")
    fake.finish(container_id)
    fake.end()


def test_a_container_is_run_and_each_step_of_it_told() -> None:
    checks, client = look(well)
    assert {name: check.ok for name, check in checks.items()} == {
        "submission": True,
        "start": True,
        "port": True,
        "container": True,
        "log collection": True,
        "clearing up": True,
    }
    [spec] = client.submitted
    assert (spec.name, list(spec.services)) == ("knit-doctor", ["probe"])


def test_a_port_that_is_shut_off_is_named_and_the_container_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def drop(address: object, timeout: float) -> None:
        raise TimeoutError

    monkeypatch.setattr("knit.cli._running.waiting.socket.create_connection", drop)
    checks, client = look(well)
    assert not checks["port"].ok
    assert "listens on 127.0.0.1:" in checks["port"].message
    assert "--master-ports" in checks["port"].hint
    assert "container" not in checks, "it builds on the port"
    assert checks["clearing up"].ok
    assert client.fake is not None
    assert client.fake.address is None


def test_a_container_whose_lines_do_not_come_is_told() -> None:
    def silent(fake: Any, _: object) -> None:
        fake.finish(fake.containers()[0].container_id)
        fake.end()

    checks, _ = look(silent)
    assert not checks["container"].ok
    assert "did not come" in checks["container"].message


def test_one_that_does_not_start_is_given_up_and_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    from datetime import timedelta

    monkeypatch.setattr("knit.cli._verbs.doctor.PATIENCE_WITH_START", timedelta(0))

    def queued(fake: Any, _: object) -> None:
        fake.stop()

    monkeypatch.setattr("tests.cli.playing.unborn", queued)
    checks, _ = look(queued)
    assert not checks["start"].ok
    assert list(checks) == ["submission", "start", "clearing up"]
