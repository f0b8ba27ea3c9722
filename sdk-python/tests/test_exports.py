"""The public names, pinned: a change here is a change for users."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys

import knit
import knit.testing

MODELS = """
    Access AccessControl AggregatedLogs AllocationPolicy Application ApplicationDescription
    ApplicationOutcome ApplicationReport ApplicationSpec ApplicationState ApplicationStatus
    AttemptPolicy BackOff BudgetAccount CheckResult Client ClientGrant ClusterConfig Container
    ContainerExit ContainerLogs ContainerRef ContainerState DelegationTokenInfo DependencyCondition
    Driver Endpoint Event EventKind ExitReason FailurePolicy File FileSystem FinalStatus HttpCheck
    KeyChange KeyValue KeyValueStore KillResult Knit Lease LogChunk LogEnd LogFile LogFiles LogLevel
    LogLine LogStream NodeReport NodeStanding NodeState Notice NoticeSeverity OperationResult
    PackingProgress Placement Position Probe QueuePartition QueueReport QueueState
    RUNNING_ENVIRONMENT Readiness ReasonSource ResourceAmount Resources RestartBudget RestartScope
    Role ScaleDownOrder Scaled SchedulerType Service ServiceCondition ServiceStatus ServiceUpdate
    Snapshot Spread StagingProgress TransactionResult UpdateFailurePolicy UpdatePolicy UpdateState
    Visibility WaitingCause WaitingReason Watch YarnState create_env pack_environment Current
    CurrentContainer connect current
""".split()  # noqa: SIM905 - one a line would be a page
ERRORS = """
    AccessDeniedError ApplicationError ApplicationFailedError ApplicationNotFoundError
    ApplicationNotRunningError ChangeRefusedError ClockSkewError ClusterError ClusterFileExistsError
    ClusterFileNotFoundError ClusterResponseError ClusterTimeoutError ClusterUnreachableError
    CondaException ConfigurationError ConfigurationNotFoundError ConnectionLostError
    ContainerNotFoundError CredentialsError DuplicateFileError EventsForgottenError FileMissingError
    HDFSConfigException HistoryLostError InvalidRequestError KdcUnreachableError KerberosError
    KerberosRequiredError KeyNotFoundError KeytabError KnitError KnitException LeaseEndedError
    LogAggregationDisabledError LogFormatError LogsNeedKerberosError LogsNotFoundError
    LogsUnavailableError NeedsAgentError NoDataNodeError NotInApplicationError NotPermittedError
    PackageListError
    PositionOutOfRangeError PythonEnvironmentError QueueNotFoundError QueueStoppedError
    QuotaExceededError ResourceExhaustedError ResourcesUnavailableError RpcTimeoutError
    SafeModeError ServerIdentityError ServiceNotFoundError SpecError StandbyError StoreLimitError
    SubmissionError TicketExpiredError TicketMissingError TokenUnavailableError WaitTimeoutError
    WebHdfsDisabledError WrongPortError WrongStateError YARNException
""".split()  # noqa: SIM905 - one a line would be a page


def test_the_public_names_are_these() -> None:
    assert sorted(knit.__all__) == sorted(MODELS + ERRORS)
    assert sorted(knit.testing.__all__) == ["FakeApplicationMaster", "Fault"]


def test_every_public_name_is_there_and_listed() -> None:
    for name in set(knit.__all__) - {"KnitException", "RUNNING_ENVIRONMENT"}:
        assert getattr(knit, name).__name__ == name
    assert knit.RUNNING_ENVIRONMENT == "running"
    assert knit.KnitException is knit.KnitError
    assert set(knit.__all__) <= set(dir(knit))
    assert knit.__version__


def test_no_public_name_is_a_generated_one() -> None:
    modules = {name: getattr(getattr(knit, name), "__module__", "") for name in knit.__all__}
    assert not [name for name, module in modules.items() if module.startswith("knit.v1")]


def test_every_module_can_be_imported() -> None:
    """On each Python, those too that only tests on one of them execute."""
    modules = [each.name for each in pkgutil.walk_packages(knit.__path__, "knit.")]
    for name in modules:
        if not name.endswith("__main__"):
            importlib.import_module(name)
    assert len(modules) > 50


def test_importing_knit_imports_nothing_heavy() -> None:
    """Commands start quickly because each part is imported when it is needed."""
    code = "import sys, knit; print(*[m for m in sys.modules if m.partition('.')[0] in {H!r}])"
    heavy = {"attr", "cattrs", "cryptography", "google", "grpc", "rich", "urllib3", "yaml"}
    done = subprocess.run(
        [sys.executable, "-c", code.format(H=heavy)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""


def test_a_client_needs_no_grpc_before_it_calls() -> None:
    code = "import sys, knit; knit.Client, knit.Application; print('grpc' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
