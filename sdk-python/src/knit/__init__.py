"""
Launch and control Python and other non-JVM programs on Apache Hadoop YARN.

    spec = knit.ApplicationSpec("demo", {"worker": knit.Service("python3 worker.py", instances=3)})
    with knit.Client.from_config() as client:
        application = client.submit(spec)
        for line in application.logs(follow=True):
            print(line.service, line.rank, line.text)
        application.wait().raise_for_status()
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from knit import exceptions as _exceptions
from knit._application import (
    Application,
    ApplicationDescription,
    ApplicationOutcome,
    ApplicationState,
)
from knit._client import Client
from knit._cluster.configuration import ClusterConfig
from knit._container import Container, ContainerExit, ContainerState, ExitReason
from knit._files import File, Visibility
from knit._logs import LogChunk, LogEnd, LogFile, LogLine, LogStream
from knit._report import ApplicationReport, FinalStatus, YarnState
from knit._resources import Resources
from knit._spec import ApplicationSpec, FailurePolicy, Service
from knit.exceptions import *  # noqa: F403

if TYPE_CHECKING:
    from knit._checks import CheckResult
    from knit._staging import StagingProgress

    __version__: str

__all__ = [
    "Application",
    "ApplicationDescription",
    "ApplicationOutcome",
    "ApplicationReport",
    "ApplicationSpec",
    "ApplicationState",
    "CheckResult",
    "Client",
    "ClusterConfig",
    "Container",
    "ContainerExit",
    "ContainerState",
    "ExitReason",
    "FailurePolicy",
    "File",
    "FinalStatus",
    "LogChunk",
    "LogEnd",
    "LogFile",
    "LogLine",
    "LogStream",
    "Resources",
    "Service",
    "StagingProgress",
    "Visibility",
    "YarnState",
]
__all__ += _exceptions.__all__

# Where what takes long to import is imported, once it is asked for.
_LAZY = {"CheckResult": "knit._checks", "StagingProgress": "knit._staging"}


def __getattr__(name: str) -> object:
    import importlib

    if name == "__version__":
        from importlib.metadata import version

        return version("knit-yarn")
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'knit' has no attribute {name!r}")
