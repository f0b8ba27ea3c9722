"""
Launch and control Python and other non-JVM programs on Apache Hadoop YARN.

    worker = knit.Service("python3 worker.py", instances=3, files=["worker.py"])
    spec = knit.ApplicationSpec("demo", {"worker": worker})
    with knit.Client.from_config() as client, client.submit(spec) as application:
        for line in application.logs(follow=True):
            print(line.service, line.rank, line.text)
        application.wait().raise_for_status()

An exception within that block, such as Ctrl-C's, kills the application.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from knit import exceptions as _exceptions
from knit.exceptions import *  # noqa: F403

if TYPE_CHECKING:
    from knit._cluster.configuration.config import ClusterConfig
    from knit._cluster.logs import AggregatedLogs, ContainerLogs
    from knit._environments import PackingProgress, create_env, pack_environment
    from knit._handles.application import Application
    from knit._handles.client import Client
    from knit._handles.connecting import connect
    from knit._handles.container import Container
    from knit._handles.current import Current, CurrentContainer, current
    from knit._handles.events import Event, Snapshot
    from knit._handles.kv import KeyValueStore
    from knit._handles.lease import Lease
    from knit._handles.log_stream import LogStream
    from knit._handles.services import Scaled
    from knit._handles.watching import Watch
    from knit._knit.knit import Knit
    from knit._staging.values import StagingProgress
    from knit._submission.doctor import CheckResult
    from knit._values.access import AccessControl, ClientGrant, Role
    from knit._values.amounts import ResourceAmount
    from knit._values.application_master import AttemptPolicy, LogLevel
    from knit._values.applications import (
        ApplicationDescription,
        ApplicationOutcome,
        ApplicationState,
        ApplicationStatus,
    )
    from knit._values.containers import ContainerExit, ContainerState, ExitReason
    from knit._values.delegation_tokens import DelegationTokenInfo
    from knit._values.dependencies import DependencyCondition
    from knit._values.driver import Driver
    from knit._values.events import EventKind, NodeStanding, Notice, NoticeSeverity
    from knit._values.file_systems import FileSystem
    from knit._values.files import RUNNING_ENVIRONMENT, File, Visibility
    from knit._values.kills import KillResult
    from knit._values.kv import KeyChange, KeyValue
    from knit._values.logs import LogChunk, LogEnd, LogFile, LogFiles, LogLine
    from knit._values.nodes import NodeReport, NodeState
    from knit._values.placement import Placement, Spread
    from knit._values.queues import (
        QueuePartition,
        QueueReport,
        QueueState,
        SchedulerType,
    )
    from knit._values.readiness import HttpCheck, Probe, Readiness
    from knit._values.references import ContainerRef, Position
    from knit._values.reports import ApplicationReport
    from knit._values.resources import Resources
    from knit._values.restarts import BackOff, RestartBudget, RestartScope
    from knit._values.service_status import (
        BudgetAccount,
        ServiceCondition,
        ServiceStatus,
        ServiceUpdate,
        UpdateState,
    )
    from knit._values.services import (
        Access,
        AllocationPolicy,
        FailurePolicy,
        ScaleDownOrder,
        Service,
    )
    from knit._values.spec import ApplicationSpec
    from knit._values.states import FinalStatus, YarnState
    from knit._values.transactions import OperationResult, TransactionResult
    from knit._values.updates import UpdateFailurePolicy, UpdatePolicy
    from knit._values.waiting import ReasonSource, WaitingCause, WaitingReason
    from knit._wire.endpoint import Endpoint

    __version__: str

__all__ = [
    "RUNNING_ENVIRONMENT",
    "Access",
    "AccessControl",
    "AggregatedLogs",
    "AllocationPolicy",
    "Application",
    "ApplicationDescription",
    "ApplicationOutcome",
    "ApplicationReport",
    "ApplicationSpec",
    "ApplicationState",
    "ApplicationStatus",
    "AttemptPolicy",
    "BackOff",
    "BudgetAccount",
    "CheckResult",
    "Client",
    "ClientGrant",
    "ClusterConfig",
    "Container",
    "ContainerExit",
    "ContainerLogs",
    "ContainerRef",
    "ContainerState",
    "Current",
    "CurrentContainer",
    "DelegationTokenInfo",
    "DependencyCondition",
    "Driver",
    "Endpoint",
    "Event",
    "EventKind",
    "ExitReason",
    "FailurePolicy",
    "File",
    "FileSystem",
    "FinalStatus",
    "HttpCheck",
    "KeyChange",
    "KeyValue",
    "KeyValueStore",
    "KillResult",
    "Knit",
    "Lease",
    "LogChunk",
    "LogEnd",
    "LogFile",
    "LogFiles",
    "LogLevel",
    "LogLine",
    "LogStream",
    "NodeReport",
    "NodeStanding",
    "NodeState",
    "Notice",
    "NoticeSeverity",
    "OperationResult",
    "PackingProgress",
    "Placement",
    "Position",
    "Probe",
    "QueuePartition",
    "QueueReport",
    "QueueState",
    "Readiness",
    "ReasonSource",
    "ResourceAmount",
    "Resources",
    "RestartBudget",
    "RestartScope",
    "Role",
    "ScaleDownOrder",
    "Scaled",
    "SchedulerType",
    "Service",
    "ServiceCondition",
    "ServiceStatus",
    "ServiceUpdate",
    "Snapshot",
    "Spread",
    "StagingProgress",
    "TransactionResult",
    "UpdateFailurePolicy",
    "UpdatePolicy",
    "UpdateState",
    "Visibility",
    "WaitingCause",
    "WaitingReason",
    "Watch",
    "YarnState",
    "connect",
    "create_env",
    "current",
    "pack_environment",
]
__all__ += _exceptions.__all__

# Each is imported once it is asked for: all of them take 150 ms, which a command feels.
_MODULES = {
    "_cluster.configuration.config": ("ClusterConfig",),
    "_cluster.logs": ("AggregatedLogs", "ContainerLogs"),
    "_environments": ("PackingProgress", "create_env", "pack_environment"),
    "_handles.application": ("Application",),
    "_handles.client": ("Client",),
    "_handles.connecting": ("connect",),
    "_handles.container": ("Container",),
    "_handles.current": ("Current", "CurrentContainer", "current"),
    "_handles.events": ("Event", "Snapshot"),
    "_handles.kv": ("KeyValueStore",),
    "_handles.lease": ("Lease",),
    "_handles.log_stream": ("LogStream",),
    "_handles.services": ("Scaled",),
    "_handles.watching": ("Watch",),
    "_knit.knit": ("Knit",),
    "_staging.values": ("StagingProgress",),
    "_submission.doctor": ("CheckResult",),
    "_values.access": ("AccessControl", "ClientGrant", "Role"),
    "_values.amounts": ("ResourceAmount",),
    "_values.applications": (
        "ApplicationDescription",
        "ApplicationOutcome",
        "ApplicationState",
        "ApplicationStatus",
    ),
    "_values.containers": ("ContainerExit", "ContainerState", "ExitReason"),
    "_values.delegation_tokens": ("DelegationTokenInfo",),
    "_values.dependencies": ("DependencyCondition",),
    "_values.driver": ("Driver",),
    "_values.events": ("EventKind", "NodeStanding", "Notice", "NoticeSeverity"),
    "_values.file_systems": ("FileSystem",),
    "_values.files": ("File", "RUNNING_ENVIRONMENT", "Visibility"),
    "_values.kills": ("KillResult",),
    "_values.kv": ("KeyChange", "KeyValue"),
    "_values.logs": ("LogChunk", "LogEnd", "LogFile", "LogFiles", "LogLine"),
    "_values.nodes": ("NodeReport", "NodeState"),
    "_values.placement": ("Placement", "Spread"),
    "_values.queues": ("QueuePartition", "QueueReport", "QueueState", "SchedulerType"),
    "_values.readiness": ("HttpCheck", "Probe", "Readiness"),
    "_values.references": ("ContainerRef", "Position"),
    "_values.reports": ("ApplicationReport",),
    "_values.resources": ("Resources",),
    "_values.restarts": ("BackOff", "RestartBudget", "RestartScope"),
    "_values.service_status": (
        "BudgetAccount",
        "ServiceCondition",
        "ServiceStatus",
        "ServiceUpdate",
        "UpdateState",
    ),
    "_values.services": (
        "Access",
        "AllocationPolicy",
        "FailurePolicy",
        "ScaleDownOrder",
        "Service",
    ),
    "_values.application_master": ("AttemptPolicy", "LogLevel"),
    "_values.spec": ("ApplicationSpec",),
    "_values.states": ("FinalStatus", "YarnState"),
    "_values.transactions": ("OperationResult", "TransactionResult"),
    "_values.updates": ("UpdateFailurePolicy", "UpdatePolicy"),
    "_values.waiting": ("ReasonSource", "WaitingCause", "WaitingReason"),
    "_wire.endpoint": ("Endpoint",),
}
_MODULE_OF = {name: f"knit.{module}" for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    import importlib

    value: object
    if name in _MODULE_OF:
        value = getattr(importlib.import_module(_MODULE_OF[name]), name)
    elif name == "__version__":
        from importlib.metadata import version

        value = version("knit-yarn")
    else:
        raise AttributeError(f"module 'knit' has no attribute {name!r}")
    globals()[name] = value  # the next time it is simply there
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULE_OF, "__version__"})
