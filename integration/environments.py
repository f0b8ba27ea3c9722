"""Python environments for the suite, made as the tests of the SDK make theirs."""

from __future__ import annotations

import sys

from integration.clusters.jars import ROOT

# They lie in the SDK's own distribution of sources, which this suite is no part of.
sys.path.insert(0, str(ROOT / "sdk-python"))

from tests.environments.building import make_venv, write_wheel
from tests.environments.channel import Channel

__all__ = ["Channel", "make_venv", "write_wheel"]
