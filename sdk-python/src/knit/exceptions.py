"""
Everything this package raises on purpose: a tree, of which each line has a class and those below.

    KnitError: ConfigurationError, CredentialsError, NotInApplicationError,
        PythonEnvironmentError, YARNException, KerberosRequiredError, SpecError,
        ConnectionLostError, RpcTimeoutError, WaitTimeoutError
    ConfigurationError: ConfigurationNotFoundError, HDFSConfigException
    PythonEnvironmentError: CondaException
    CondaException: PackageListError
    YARNException: ClusterError, ApplicationError
    SpecError: FileMissingError, DuplicateFileError, NeedsAgentError
    ClusterError: ClusterUnreachableError, ClusterTimeoutError, WrongPortError, StandbyError,
        AccessDeniedError, WebHdfsDisabledError, ClusterFileNotFoundError,
        ClusterFileExistsError, SafeModeError, NoDataNodeError, QuotaExceededError,
        QueueNotFoundError, QueueStoppedError, ResourcesUnavailableError, SubmissionError,
        ChangeRefusedError, ClusterResponseError, KerberosError, TokenUnavailableError
    KerberosError: TicketMissingError, KeytabError, KdcUnreachableError, ClockSkewError,
        ServerIdentityError
    TicketMissingError: TicketExpiredError
    ApplicationError: ApplicationNotFoundError, ApplicationNotRunningError,
        ApplicationFailedError, LogsUnavailableError, ContainerNotFoundError, KeyNotFoundError,
        LeaseEndedError, NotPermittedError, InvalidRequestError, WrongStateError,
        ResourceExhaustedError, PositionOutOfRangeError, HistoryLostError
    LogsUnavailableError: LogAggregationDisabledError, LogsNotFoundError, LogsNeedKerberosError,
        LogFormatError
    ContainerNotFoundError: ServiceNotFoundError
    ResourceExhaustedError: StoreLimitError
    PositionOutOfRangeError: EventsForgottenError

Those that stand for a kind of Python's own are of that kind too: `except FileNotFoundError` works.
The names of knit 0.1.1 are KnitException, which is KnitError; YARNException, the parent of
ClusterError and ApplicationError; HDFSConfigException and CondaException.

Every message says what was tried, what came back and what to do next.
None holds a secret. Where an Application Master refused, `reason` says why in a word that programs
can rely on, such as `UPDATE_UNDER_WAY`, and `facts` holds the names and numbers of the sentence.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from knit._values.reports import ApplicationReport

__all__ = ["KnitError", "KnitException", "YARNException"]
__all__ += ["ConnectionLostError", "CredentialsError", "KerberosRequiredError"]
__all__ += ["NotInApplicationError", "RpcTimeoutError", "WaitTimeoutError"]
__all__ += ["ConfigurationError", "ConfigurationNotFoundError", "HDFSConfigException"]
__all__ += ["CondaException", "PackageListError", "PythonEnvironmentError"]
__all__ += ["DuplicateFileError", "FileMissingError", "NeedsAgentError", "SpecError"]
__all__ += ["AccessDeniedError", "ChangeRefusedError", "ClusterError", "ClusterFileExistsError"]
__all__ += ["ClusterFileNotFoundError", "ClusterResponseError", "ClusterTimeoutError"]
__all__ += ["ClusterUnreachableError", "NoDataNodeError"]
__all__ += ["QueueNotFoundError", "QueueStoppedError"]
__all__ += ["QuotaExceededError", "ResourcesUnavailableError", "SafeModeError", "StandbyError"]
__all__ += ["SubmissionError", "TokenUnavailableError", "WebHdfsDisabledError", "WrongPortError"]
__all__ += ["ClockSkewError", "KdcUnreachableError", "KerberosError", "KeytabError"]
__all__ += ["ServerIdentityError", "TicketExpiredError", "TicketMissingError"]
__all__ += ["ApplicationError", "ApplicationFailedError", "ApplicationNotFoundError"]
__all__ += ["ApplicationNotRunningError", "HistoryLostError", "InvalidRequestError"]
__all__ += ["KeyNotFoundError", "LeaseEndedError", "NotPermittedError", "WrongStateError"]
__all__ += ["LogAggregationDisabledError", "LogFormatError", "LogsNeedKerberosError"]
__all__ += ["LogsNotFoundError", "LogsUnavailableError"]
__all__ += ["ContainerNotFoundError", "ServiceNotFoundError"]
__all__ += ["ResourceExhaustedError", "StoreLimitError"]
__all__ += ["EventsForgottenError", "PositionOutOfRangeError"]


class KnitError(Exception):
    """
    The root of all errors that knit raises on purpose.

    They survive `pickle` and `copy`, so they cross the borders of process pools.
    """

    reason: str | None = None
    """
    Why an Application Master refused, in a word for programs, such as `NO_SUCH_SERVICE`. None
    where nobody refused, or it does not say.
    """
    facts: Mapping[str, str] = MappingProxyType({})
    """The names and numbers of that refusal, by name; empty where there are none."""

    def __reduce__(self) -> tuple[object, ...]:
        # Not by calling the class again, some of which want their facts by keyword.
        return _restored, (type(self), self.args, dict(self.__dict__))

    @property
    def message(self) -> str:
        """The sentence for people: what was tried, what came back, what to do."""
        return str(self.args[0]) if self.args else type(self).__name__

    def __str__(self) -> str:
        # Not the builtin parents' ideas of it: OSError and KeyError format their arguments.
        return self.message


def _restored(kind: type[KnitError], args: tuple[object, ...], facts: dict[str, object]) -> object:
    # Of the builtin parents only that of the files makes its objects in its own way.
    new = OSError.__new__ if issubclass(kind, OSError) else Exception.__new__
    error = new(kind, *args)
    error.args = args
    error.__dict__.update(facts)
    return error


KnitException = KnitError
"""What knit 0.1.1 called it."""


class ConfigurationError(KnitError):
    """The Hadoop configuration is malformed, or lacks something that is needed."""


class ConfigurationNotFoundError(ConfigurationError):
    """No Hadoop configuration was found."""


class CredentialsError(KnitError):
    """A directory that should hold credentials of an application does not."""


class NotInApplicationError(KnitError):
    """This program was not started by knit, or runs in no container where only that will do."""


class HDFSConfigException(ConfigurationError):  # noqa: N818 - a name of knit 0.1.1
    """The arguments of `Knit` name another cluster than the Hadoop configuration does."""


class PythonEnvironmentError(KnitError):
    """A Python environment cannot be packed, or is none that containers can use."""


class CondaException(PythonEnvironmentError):  # noqa: N818 - a name of knit 0.1.1
    """A conda environment cannot be made."""


class PackageListError(CondaException, TypeError):
    """The packages of a conda environment are not given as a list of names."""


class YARNException(KnitError):  # noqa: N818 - a name of knit 0.1.1
    """The cluster or one of its applications said no, or nothing."""


class KerberosRequiredError(KnitError):
    """
    The cluster wants Kerberos, and that cannot be done here.

    This machine has no library for it, or the configuration says that none is wanted.
    """


class SpecError(KnitError, ValueError):
    """The specification can be run on no cluster: an empty command, a negative count…"""


class FileMissingError(SpecError, FileNotFoundError):
    """A file named in the specification does not exist."""


class DuplicateFileError(SpecError):
    """Two files of one service would get the same name in the working directory."""


class NeedsAgentError(SpecError):
    """
    It asks for what only a program of knit's in each container could do, and there is none yet.

    `reason` is NEEDS_AGENT, as an Application Master says it.
    """

    reason = "NEEDS_AGENT"


class ClusterError(YARNException):
    """
    The cluster said no, or did not answer.

    Args:
        message: What was tried, what came back, what to do.
        url: The address that was tried, without its query.
        status: The HTTP status that came back, if any did.
    """

    def __init__(self, message: str, *, url: str | None = None, status: int | None = None) -> None:
        super().__init__(message)
        self.url = url
        """The address that was tried, without its query."""
        self.status = status
        """The HTTP status that came back; None if there was no answer."""
        self.exception: str | None = None
        """What Hadoop calls the failure, `AccessControlException`; None where it has no word."""
        self._is_lasting = False
        """Whether trying again cannot help, as with a certificate that is not trusted."""
        self._is_undecided = False
        """Whether what was asked for may have been done, and must not be asked for again."""


class ClusterUnreachableError(ClusterError, ConnectionError):
    """No connection: an unknown host, a refused connection, a failed TLS handshake."""


class ClusterTimeoutError(ClusterError, TimeoutError):
    """The cluster did not answer in time. A change asked for may have been made all the same."""


class WrongPortError(ClusterError):
    """
    Something answers at this address, but not what should: often Hadoop's RPC port.

    Args:
        message: What was tried, what came back, what to do.
        url: The address that was tried, without its query.
        status: The HTTP status that came back, if any did.
        answered_by: What does answer there, where that is known.
    """

    def __init__(
        self,
        message: str,
        *,
        url: str | None = None,
        status: int | None = None,
        answered_by: str | None = None,
    ) -> None:
        super().__init__(message, url=url, status=status)
        self.answered_by = answered_by
        """What does answer there, such as `DataNode`; None where that is not known."""


class StandbyError(ClusterError):
    """Every address answered, and each of them is on standby, or still starting."""

    _is_starting = False
    """Whether one of them said that it is only not ready yet."""


class AccessDeniedError(ClusterError, PermissionError):
    """The cluster knows who is asking, or does not, and refuses."""


class WebHdfsDisabledError(ClusterError):
    """The NameNode's web server answers, but does not serve WebHDFS."""


class ClusterFileNotFoundError(ClusterError, FileNotFoundError):
    """A path of the cluster's file system does not exist."""


class ClusterFileExistsError(ClusterError, FileExistsError):
    """A path of the cluster's file system exists already."""


class SafeModeError(ClusterError):
    """The NameNode is in safe mode and accepts no changes."""

    ends_by_itself = False
    """Whether it says that it will leave it by itself, as after its start."""


class NoDataNodeError(ClusterError):
    """
    The NameNode knows no DataNode that could take or give data.

    So it is for some seconds after its start, which calls wait for within their time.
    """


class QuotaExceededError(ClusterError):
    """A directory's quota of names or of space is used up, or the file system is full."""


class QueueNotFoundError(ClusterError):
    """There is no such queue, or it is one that only holds other queues."""


class QueueStoppedError(ClusterError):
    """The queue exists and takes no new applications."""


class ResourcesUnavailableError(ClusterError):
    """More was asked for than any node has, or than YARN grants to one container."""


class SubmissionError(ClusterError):
    """YARN refused the application."""


class ChangeRefusedError(ClusterError):
    """YARN refused to move an application to another queue, or to change its priority."""


class ClusterResponseError(ClusterError):
    """The cluster answered something that knit cannot read."""


class KerberosError(ClusterError):
    """Kerberos failed. What is below it says what helps; else the message does."""


class TicketMissingError(KerberosError):
    """There is no ticket. `kinit` makes one; so does a keytab."""


class TicketExpiredError(TicketMissingError):
    """
    There was a ticket, and it has ended.

    Applications go on without one, and whoever waited for them can do so again after `kinit`.
    """


class KeytabError(KerberosError):
    """A keytab cannot be used: it cannot be read, is another principal's, or its key is old."""


class KdcUnreachableError(KerberosError, ConnectionError):
    """No server of the realm answered. Trying again may help."""


class ClockSkewError(KerberosError):
    """The clocks of this machine, the KDC and the cluster differ by more than Kerberos takes."""


CLUSTER_SILENCE = (
    ClusterUnreachableError,
    ClusterTimeoutError,
    StandbyError,
    KdcUnreachableError,
    TicketMissingError,
)
"""What is said of a cluster that cannot be asked now, and may be in a moment. Not public."""


class ServerIdentityError(KerberosError):
    """The KDC does not know the server by the name we call it, or it cannot prove who it is."""


class TokenUnavailableError(ClusterError):
    """A delegation token that the application needs cannot be had, or not one that is of use."""


class ApplicationError(YARNException):
    """The application, or its Application Master, said no."""


class ApplicationNotFoundError(ApplicationError):
    """YARN does not know this application; it may have forgotten it."""


class ApplicationNotRunningError(ApplicationError):
    """The application has ended, or its Application Master has not started yet."""


class ApplicationFailedError(ApplicationError):
    """
    The application did not end well.

    Args:
        message: How it ended, in a sentence.
        report: What YARN says of it.
    """

    def __init__(self, message: str, *, report: ApplicationReport) -> None:
        super().__init__(message)
        self.report = report
        """What YARN says of the application."""


class LogsUnavailableError(ApplicationError):
    """The logs of an application, or some of them, cannot be had, mostly after its end."""


class LogAggregationDisabledError(LogsUnavailableError):
    """The cluster does not collect the logs of applications that have ended."""


class LogsNotFoundError(LogsUnavailableError, FileNotFoundError):
    """There are no such logs: they were never written, or have been deleted since."""


class LogsNeedKerberosError(LogsUnavailableError):
    """
    The nodes show the logs of running containers only to who has a ticket.

    The application has not ended, its Application Master has no keytab, and YARN has collected
    nothing of what is wanted yet. A stream that follows waits for that instead.
    """


class LogFormatError(LogsUnavailableError):
    """
    Logs are there, and cannot be read: damaged, cut off, or of a kind that knit does not know.

    Args:
        message: What was tried, what was found, what to do.
        path: The file in the cluster's file system.
        codec: The compression that is not known, if that is the reason.
    """

    def __init__(self, message: str, *, path: str, codec: str | None = None) -> None:
        super().__init__(message)
        self.path = path
        """The file in the cluster's file system."""
        self.codec = codec
        """The compression that is not known, by its name; None if that is not the reason."""


class ContainerNotFoundError(ApplicationError):
    """The application never held such a container, or has no such service."""


class ServiceNotFoundError(ContainerNotFoundError):
    """The application has no such service."""


class KeyNotFoundError(ApplicationError, KeyError):
    """The application's key-value store has no such key."""


class LeaseEndedError(ApplicationError):
    """A lease of the key-value store has ended, and the keys that lived with it are gone."""


class NotPermittedError(ApplicationError, PermissionError):
    """The Application Master knows who is asking, and their role does not include this."""


class InvalidRequestError(ApplicationError, ValueError):
    """The Application Master refused a request that makes no sense."""


class WrongStateError(ApplicationError):
    """The application or the container is in a state that does not allow this."""


class ResourceExhaustedError(ApplicationError):
    """The Application Master refused a request that is too large."""


class StoreLimitError(ResourceExhaustedError):
    """
    A key, a value or the whole key-value store would be larger than it may.

    `reason` says which (`KEY_TOO_LARGE`, `VALUE_TOO_LARGE`, `STORE_FULL`), `facts` the numbers,
    `bytes` and `max_bytes`.
    """


class PositionOutOfRangeError(ApplicationError):
    """What is asked for lies outside what there is: a log ends before the offset, as an example."""


class EventsForgottenError(PositionOutOfRangeError):
    """
    What follows a position is kept no more: it was too long ago, or the reader too slow.

    The way out is to list again what was watched (`Application.snapshot`, or the keys), which
    names a position to go on from.
    """


class HistoryLostError(ApplicationError):
    """
    The Application Master was replaced, and the other one knows nothing of what was before.

    What it was asked for may have been done by the first one, and is then lost with it. Positions
    and revisions of before mean nothing any more: list again, and begin again.
    """


class ConnectionLostError(KnitError, ConnectionError):
    """The Application Master did not answer. Trying again may help."""


class RpcTimeoutError(KnitError, TimeoutError):
    """The Application Master did not answer in time. It may have done what was asked."""


class WaitTimeoutError(KnitError, TimeoutError):
    """What was waited for did not come in time."""
