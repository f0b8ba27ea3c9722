"""A handle that was used, in a forked process: multiprocessing, joblib."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_a_handle_that_was_used_works_in_parent_and_children() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.handles.forking"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
