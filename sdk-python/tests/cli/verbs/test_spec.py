"""`knit spec`: what an application was submitted as."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import knit
from knit.cli import main
from knit.testing import FakeApplicationMaster
from tests.cli import playing
from tests.cli.playing import FakeClient

APP = "application_1700000000000_0001"
SPEC = knit.ApplicationSpec(
    "demo",
    {"worker": knit.Service('work "$X"', environment={"TOKEN": "hunter2"}, instances=2)},
    tags=["nightly"],
    annotations={"bytes": b"\xff"},
)


@pytest.fixture
def fake() -> Iterator[FakeApplicationMaster]:
    with FakeApplicationMaster(SPEC) as fake, playing.playing(FakeClient(playing.well, fake)):
        yield fake


def test_what_is_printed_is_the_specification(
    fake: FakeApplicationMaster, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["spec", APP, "--values"]) == 0
    path = tmp_path / "app.yaml"
    path.write_text(capfd.readouterr().out)
    assert knit.ApplicationSpec.from_file(path) == SPEC
    assert main(["spec", APP, "--values", "--json"]) == 0
    assert knit.ApplicationSpec.from_dict(json.loads(capfd.readouterr().out)) == SPEC


def test_values_and_annotations_are_left_out_unless_asked_for(
    fake: FakeApplicationMaster, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["spec", APP]) == 0
    out = capfd.readouterr().out
    assert "hunter2" not in out
    assert "TOKEN: ''" in out
    assert "annotations" not in out
