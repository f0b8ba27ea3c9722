"""
A pytest plugin for the client's side: every report goes out as a line of JSON on standard output.

Loaded by ``-p``, before pytest captures anything. What else would be printed there goes to
standard error.
"""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

_reports = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)


def _write(line: dict[str, Any]) -> None:
    print(json.dumps(line, default=repr), file=_reports, flush=True)


class _Relay:
    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logstart(self, nodeid: str, location: tuple[str, int | None, str]) -> None:
        _write({"started": nodeid, "location": location})

    def pytest_runtest_logfinish(self, nodeid: str, location: tuple[str, int | None, str]) -> None:
        _write({"finished": nodeid, "location": location})

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        data.pop("node", None)  # the worker, which means something here only
        _write({"report": data})


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # workers report to their controller, and it to us
        config.pluginmanager.register(_Relay(config))
