"""Verbs that watch end once nobody reads them any more, although nothing happens."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from knit.testing import FakeApplicationMaster


@pytest.mark.parametrize("verb", [["events", "-f"], ["kv", "watch", "--after", "1"]])
def test_who_leaves_ends_a_watch_in_which_nothing_happens(verb: list[str], tmp_path: Path) -> None:
    nowhere = {"HADOOP_CONF_DIR": "", "HADOOP_HOME": str(tmp_path)}
    with FakeApplicationMaster() as fake:
        app = fake.application()
        app.kv["key"] = b"value"
        keys = app.endpoint().save(tmp_path / "keys")
        process = subprocess.Popen(
            [sys.executable, "-m", "knit.cli", *verb, app.application_id],
            env={**os.environ, **nowhere, "KNIT_CREDENTIALS": str(keys)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdout.readline()
            process.stdout.close()
            assert process.wait(timeout=120) == 141
            assert process.stderr.read() == b""
            process.stderr.close()
        finally:
            process.kill()
            process.wait()
