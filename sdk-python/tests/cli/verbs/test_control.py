"""The verbs on services, events and keys: what they ask, print and leave with."""

from __future__ import annotations

import io
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import knit
from knit.cli import main
from knit.testing import FakeApplicationMaster
from tests.cli import playing
from tests.cli.playing import FakeClient
from tests.cli.verbs.printed import as_json

APP = "application_1700000000000_0001"


@pytest.fixture
def fake() -> Iterator[FakeApplicationMaster]:
    """A running application of one service with two containers."""
    spec = knit.ApplicationSpec("demo", {"worker": knit.Service("work", instances=2)})
    with FakeApplicationMaster(spec) as fake, playing.playing(FakeClient(playing.well, fake)):
        yield fake


def lines(capfd: pytest.CaptureFixture[str]) -> list[list[str]]:
    return [line.split("\t") for line in capfd.readouterr().out.splitlines()]


def live(fake: FakeApplicationMaster) -> set[int]:
    return {c.rank for c in fake.containers() if not c.state.is_final}


# Services


def test_services_are_listed_with_their_conditions_and_what_they_wait_for(
    fake: FakeApplicationMaster, capfd: pytest.CaptureFixture[str]
) -> None:
    fake.add("worker", running=False)
    assert main(["services", APP]) == 0
    heading, row = lines(capfd)
    found = dict(zip(heading, row, strict=True))
    assert (found["SERVICE"], found["CONDITION"], found["READY"]) == ("worker", "DEGRADED", "2/3")
    assert found["CONTAINERS"] == "1 requested, 2 running"


def test_services_as_json(fake: FakeApplicationMaster, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["services", APP, "worker", "--json"]) == 0
    (found,) = as_json(capfd)
    assert (found["name"], found["condition"], found["target"]) == ("worker", "READY", 2)
    assert found["counts"] == {"RUNNING": 2}


def test_a_service_that_is_none_is_named(
    fake: FakeApplicationMaster, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["services", APP, "web"]) == 1
    assert "'web'" in capfd.readouterr().err


def test_status_shows_services(
    fake: FakeApplicationMaster, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", APP]) == 0
    assert "worker: READY, 2/2 ready" in capfd.readouterr().out
    assert main(["status", APP, "--json"]) == 0
    (service,) = as_json(capfd)["application_master"]["services"]
    assert service["condition"] == "READY"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [(["4"], {0, 1, 2, 3}), (["+1"], {0, 1, 2}), (["1"], {0}), (["--", "-1"], {0}), (["0"], set())],
)
def test_scale_takes_a_number_or_a_difference(
    fake: FakeApplicationMaster, arguments: list[str], expected: set[int]
) -> None:
    assert main(["scale", APP, "worker", *arguments]) == 0
    assert live(fake) == expected


def test_scale_takes_victims_by_place_and_by_id(
    fake: FakeApplicationMaster, capfd: pytest.CaptureFixture[str]
) -> None:
    first = fake.containers()[0]
    assert main(["scale", APP, "worker", "1", "--victim", "worker/0", "--json"]) == 0
    scaled = as_json(capfd)
    assert [each["container_id"] for each in scaled["stopped"]] == [first.container_id]
    assert live(fake) == {1}
    second = next(c for c in fake.containers() if not c.state.is_final)
    assert main(["scale", APP, "worker", "0", "--victim", str(second.container_id)]) == 0
    assert live(fake) == set()


@pytest.mark.parametrize("amount", ["many", "1.5", "+", "++1", "٣"])
def test_scale_refuses_what_is_no_number(
    fake: FakeApplicationMaster, capfd: pytest.CaptureFixture[str], amount: str
) -> None:
    assert main(["scale", APP, "worker", amount]) == 2
    assert "5, +2 or -2" in capfd.readouterr().err
    assert live(fake) == {0, 1}


def test_a_victim_that_is_not_there_stops_nothing(
    fake: FakeApplicationMaster, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["scale", APP, "worker", "1", "--victim", "worker/7"]) == 1
    assert "worker/7" in capfd.readouterr().err
    assert live(fake) == {0, 1}


def test_restart_takes_places_and_whole_services(
    fake: FakeApplicationMaster, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["restart", APP, "worker/1", "--json"]) == 0
    (next_one,) = as_json(capfd)
    assert (next_one["rank"], next_one["attempt_number"]) == (1, 2)
    assert main(["restart", APP, "--service", "worker", "--json"]) == 0
    assert [(c["rank"], c["attempt_number"]) for c in as_json(capfd)] == [(0, 2), (1, 3)]
    assert main(["restart", APP]) == 2


SPEC = "name: a\nservices:\n  worker:\n    command: other\n    instances: 5\n"


def test_update_passes_services_to_a_file_and_adds_those_that_are_new(
    fake: FakeApplicationMaster, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "app.yaml"
    file.write_text(SPEC + "  web:\n    command: serve\n")
    assert main(["update", APP, str(file), "--json"]) == 0
    out, err = capfd.readouterr()
    found = {each["name"]: each for each in json.loads(out)}
    assert found["worker"]["revision"] == 2
    assert found["worker"]["update"]["state"] == "UPDATING"
    assert found["worker"]["target"] == 2
    assert f"knit scale {APP} worker 5" in err
    assert found["web"]["condition"] == "STARTING"
    assert fake.application().service("worker").spec.command == "other"


def test_update_takes_only_the_services_that_are_named(
    fake: FakeApplicationMaster, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "app.yaml"
    file.write_text(SPEC + "  web:\n    command: serve\n")
    assert main(["update", APP, str(file), "--service", "web"]) == 0
    assert [s.name for s in fake.application().services()] == ["web", "worker"]
    assert fake.application().service("worker").revision == 1
    assert main(["update", APP, str(file), "--service", "nobody"]) == 2


def test_an_update_is_paused_gone_on_with_and_rolled_back(
    fake: FakeApplicationMaster, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "app.yaml"
    file.write_text(SPEC)
    assert main(["update", APP, "--pause", "--service", "worker"]) == 1
    assert "No update" in capfd.readouterr().err
    assert main(["update", APP, str(file)]) == 0
    for option, state in (("--pause", "PAUSED"), ("--continue", "UPDATING")):
        assert main(["update", APP, option, "--service", "worker"]) == 0
        update = fake.application().service("worker").update
        assert update is not None
        assert update.state.name == state
    assert main(["update", APP, "--roll-back", "--service", "worker"]) == 0
    status = fake.application().service("worker")
    assert (status.revision, status.spec.command) == (1, "work")
    assert main(["update", APP, str(file), "--pause"]) == 2
    assert main(["update", APP, "--pause"]) == 2


@pytest.mark.parametrize("goes_well", [True, False])
def test_update_waits_and_fails_if_somebody_has_to_decide(
    fake: FakeApplicationMaster,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    goes_well: bool,
) -> None:
    file = tmp_path / "app.yaml"
    file.write_text(SPEC)

    def conclude() -> None:
        with fake.application().events(after=0, kinds=[knit.EventKind.SERVICE]) as events:
            next(event for event in events if event.services[0].update is not None)
        if goes_well:
            fake.finish_update("worker")
        else:
            fake.pause_update("worker", "worker.0 failed")

    thread = threading.Thread(target=conclude)
    thread.start()
    assert main(["update", APP, str(file), "--wait"]) == (0 if goes_well else 1)
    thread.join()
    assert ("worker.0 failed" in capfd.readouterr().out) is not goes_well


# Events


def test_events_are_printed_in_order_and_by_choice(
    fake: FakeApplicationMaster, capfd: pytest.CaptureFixture[str]
) -> None:
    fake.notice("The disk is nearly full.", severity=knit.NoticeSeverity.WARNING)
    fake.finish(fake.containers()[0].container_id, exit_code=3)
    assert main(["events", APP]) == 0
    out = capfd.readouterr().out
    assert out.index("worker/0 attempt 1 RUNNING, ready") < out.index("warning: The disk is")
    assert "worker/0 attempt 1 FAILED: exited, exit code 3" in out
    assert main(["events", APP, "--kind", "notice", "--json"]) == 0
    event = as_json(capfd)
    assert [list(change) for change in event["changes"]] == [["notice"]]
    assert event["changes"][0]["notice"]["text"] == "The disk is nearly full."
    assert main(["events", APP, "--after", str(event["sequence"]), "--kind", "container"]) == 0
    assert len(capfd.readouterr().out.splitlines()) == 1


def test_events_are_followed_to_the_end_and_read_after_it(
    fake: FakeApplicationMaster, capfd: pytest.CaptureFixture[str]
) -> None:
    fake.end(knit.FinalStatus.FAILED, exit_code=3, diagnostics="as it was told")
    assert main(["events", APP, "-f"]) == 0
    followed = capfd.readouterr().out
    assert "FAILED: as it was told" in followed.splitlines()[-1]
    fake.stop()
    assert main(["events", APP]) == 0
    assert capfd.readouterr().out == followed


# Keys


def test_keys_are_written_read_listed_and_deleted(
    fake: FakeApplicationMaster, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["kv", "put", APP, "a/1", "grüße"]) == 0
    assert main(["kv", "get", APP, "a/1"]) == 0
    assert capfd.readouterr().out == "grüße"
    assert main(["kv", "put", APP, "a/1", "x", "--if-missing"]) == 1
    assert main(["kv", "put", APP, "a/2", "y", "--if-missing", "--json"]) == 0
    assert as_json(capfd)["succeeded"]
    assert main(["kv", "list", APP, "--prefix", "a/", "--values"]) == 0
    heading, *rows = lines(capfd)
    assert heading[0] == "KEY"
    assert [(row[0], row[-1]) for row in rows] == [("a/1", "grüße"), ("a/2", "y")]
    assert main(["kv", "list", APP, "--limit", "1", "--json"]) == 0
    assert "value" not in as_json(capfd)
    assert main(["kv", "del", APP, "a/1", "nobody"]) == 0
    assert capfd.readouterr().out == "1\n"
    assert main(["kv", "del", APP, "--prefix", "a/", "--json"]) == 0
    assert as_json(capfd)["count"] == 1
    assert main(["kv", "del", APP, "a/1"]) == 1
    assert main(["kv", "del", APP]) == 2
    assert main(["kv", "get", APP, "a/1"]) == 1
    assert "no key 'a/1'" in capfd.readouterr().err


def test_values_are_bytes_in_and_out(
    fake: FakeApplicationMaster,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    data = bytes(range(256))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert main(["kv", "put", APP, "k"]) == 0
    assert main(["kv", "get", APP, "k"]) == 0
    assert capfdbinary.readouterr().out == data
    assert main(["kv", "get", APP, "k", "--json"]) == 0
    assert "value_base64" in json.loads(capfdbinary.readouterr().out)


def test_waiting_for_a_key_runs_out(
    fake: FakeApplicationMaster, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["kv", "get", APP, "k", "--wait", "0.2s"]) == 124
    fake.application().kv["k"] = b"here"
    assert main(["kv", "get", APP, "k", "--wait", "10s"]) == 0
    assert capfd.readouterr().out == "here"


def test_keys_are_watched_until_the_application_has_ended(
    fake: FakeApplicationMaster, capfd: pytest.CaptureFixture[str]
) -> None:
    store = fake.application().kv
    store.update({"a/1": b"x", "b": b"y"})
    del store["a/1"]
    assert main(["kv", "watch", APP, "--prefix", "a/", "--after", "1", "--timeout", "0.2s"]) == 124
    assert [row[1:] for row in lines(capfd)] == [["put", "a/1", "x"], ["delete", "a/1", "-"]]
    fake.end()
    assert main(["kv", "watch", APP, "b", "--after", "1", "--json"]) == 0
    change = as_json(capfd)
    assert (change["key"], change["current"]["value"], change["previous"]) == ("b", "y", None)
    assert main(["kv", "watch", APP, "b", "--prefix", "b"]) == 2
