"""
A pytest plugin for the host's side: tests are collected here, and run in the cluster's client.

Their reports are handed to this pytest one by one as they come, as pytest-xdist does with those of
its workers; so results, failures and the summary look as they always do.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.clusters.docker_host import (
    CLIENT_PYTHON,
    REPOSITORY_IN_CLIENT,
    TEST_PACKAGES,
    Client,
    dockerized_cluster,
    keep_logs,
)
from integration.clusters.docker_image import DockerError
from integration.clusters.jars import ROOT
from integration.kinds import DOCKER_SECURE
from integration.parts import Part, part_of
from integration.toolchain import ToolchainError


class RunInClient:
    """Replaces pytest's loop over the tests."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        capture = config.pluginmanager.get_plugin("capturemanager")
        assert capture is not None
        self._capture = capture

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """Run the collected tests in the client; let pytest itself say why none can be run."""
        if session.testsfailed or not session.items or session.config.option.collectonly:
            return None
        try:
            secure = self._config.option.kind == DOCKER_SECURE
            with dockerized_cluster(self._say, extras=TEST_PACKAGES, secure=secure) as client:
                for workers, items in self._runs(session):
                    self._run(session, client, items, workers)
                    if session.shouldfail:
                        break
                if session.testsfailed:
                    self._say(f"The logs of the cluster are in {keep_logs()}")
        except (DockerError, ToolchainError) as error:
            pytest.exit(str(error), returncode=pytest.ExitCode.INTERNAL_ERROR)
        return True

    def _runs(self, session: pytest.Session) -> Iterator[tuple[int, list[pytest.Item]]]:
        """How many workers are to run what, one after the other."""
        if not (workers := self._config.option.client_workers):
            yield 0, session.items
            return
        for part, several in ((Part.SHARED, workers), (Part.ALONE, 0)):
            if items := [item for item in session.items if part_of(item) is part]:
                yield several, items

    def _run(
        self, session: pytest.Session, client: Client, items: list[pytest.Item], workers: int
    ) -> None:
        env = {name: value for name, value in os.environ.items() if name.startswith("KNIT_")}
        with tempfile.TemporaryFile("w+") as other_output:
            process = client.start(
                [CLIENT_PYTHON, "-m", "pytest", *self._arguments(items, workers)],
                env={**env, "HYPOTHESIS_STORAGE_DIRECTORY": "/tmp/hypothesis"},
                stdout=subprocess.PIPE,
                stderr=None if self._shows_output() else other_output,
            )
            assert process.stdout is not None
            for line in process.stdout:
                self._hand_on(line)
                if session.shouldfail:
                    break
            if process.wait() not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
                other_output.seek(0)
                self._say(other_output.read())
                pytest.exit(
                    f"pytest in the client left with {process.returncode}; "
                    f"the logs of the cluster are in {keep_logs()}",
                    returncode=pytest.ExitCode.INTERNAL_ERROR,
                )

    def _hand_on(self, line: str) -> None:
        hook = self._config.hook
        message = json.loads(line)
        location = tuple(message.get("location", ()))
        if "started" in message:
            hook.pytest_runtest_logstart(nodeid=message["started"], location=location)
        elif "finished" in message:
            hook.pytest_runtest_logfinish(nodeid=message["finished"], location=location)
        else:
            data = message["report"]
            if isinstance(data["longrepr"], list):  # why a test was skipped; JSON has no tuples
                data["longrepr"] = tuple(data["longrepr"])
            report = hook.pytest_report_from_serializable(config=self._config, data=data)
            hook.pytest_runtest_logreport(report=report)

    def _arguments(self, items: list[pytest.Item], workers: int) -> list[str]:
        here = Path(REPOSITORY_IN_CLIENT)
        arguments = [
            "--cluster=docker",
            f"--kind={self._config.option.kind}",
            f"--rootdir={here / self._config.rootpath.relative_to(ROOT)}",
            f"--maxfail={self._config.getvalue('maxfail') or 0}",
            "-pintegration.clusters.reports_out",
            "-pno:cacheprovider",
        ]
        if workers:
            arguments += ["-n", str(workers), "--dist=loadfile", "--no-loadscope-reorder"]
        if self._config.option.whole:
            arguments.append("--whole")
        if self._shows_output():
            arguments.append("-s")
        for item in items:
            within_file = item.nodeid.partition("::")[2]
            arguments.append(f"{here / item.path.relative_to(ROOT)}::{within_file}")
        return arguments

    def _shows_output(self) -> bool:
        return bool(self._config.option.capture == "no")

    def _say(self, line: str) -> None:
        with self._capture.global_and_fixture_disabled():
            print(line, flush=True)
