"""What a verb has printed, for tests of verbs."""

from __future__ import annotations

import json
from typing import Any

import pytest


def as_json(capfd: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capfd.readouterr().out)


def rows(capfd: pytest.CaptureFixture[str]) -> list[list[str]]:
    return [line.split("\t") for line in capfd.readouterr().out.splitlines()]
