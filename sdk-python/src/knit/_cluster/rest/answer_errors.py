"""
What a failed call to the cluster means, in our words: one place for all of them.

Each message says what was tried, what came back, and what to do about it.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from knit._cluster.rest.daemons import DATA_NODE, NAME_NODE, Daemon
from knit._cluster.security.name_rules import rules_error
from knit._cluster.security.problems import answered_error
from knit.exceptions import (
    AccessDeniedError,
    ClusterError,
    ClusterFileExistsError,
    ClusterFileNotFoundError,
    ClusterResponseError,
    KerberosRequiredError,
    KnitError,
    NoDataNodeError,
    QuotaExceededError,
    SafeModeError,
    StandbyError,
    WrongPortError,
)

if TYPE_CHECKING:
    from knit._cluster.rest.answers import Response


_NO_REST_SUBMISSION = "App submission via REST is disabled"
_IPC_ANSWER = "HTTP request to a Hadoop IPC port"
_STANDBY_TEXT = re.compile(
    r"This is standby RM|Can not find any active RM|There is no active RM", re.IGNORECASE
)
_ACCESS_WITHIN = re.compile(
    r"(?:java\.lang\.Exception: )?org\.apache\.hadoop\.security\.(AccessControlException): "
)
"""A queue's ACLs refuse a submission by REST in a BadRequestException that has the true one."""
_KERBEROS_BY_RPC_ALONE = (
    "default static user cannot carry out",
    "user not authenticated by filter",
    "SIMPLE authentication is not enabled",
)
"""
A ResourceManager and a NameNode whose web servers stand at Hadoop's defaults, and RPC, where
somebody comes without Kerberos though it is wanted.
"""
_NO_LEAVE_TO_SUBMIT = "does not have permission to submit"
_NO_PRIVILEGE = "does not have privilege"
"""The ResourceManager's words by RPC, in a YarnException, for an application of somebody else."""
_IMPERSONATION = re.compile(
    r"User: (\S+?)(?:@\S+)? is not allowed to impersonate (\S+)|"
    r"Unauthorized connection for super-user: (\S+)"
)
INVALID_TOKEN = "InvalidToken"  # noqa: S105  (Hadoop's word for an exception)
STANDBY_EXCEPTIONS = ("StandbyException", "RetriableException")
#: Not where an administrator had it enter, or its disks are full.
_LEAVES_SAFE_MODE = "will be turned off automatically"
#: By WebHDFS, and by whoever asks for a block's place: a DataNode, HttpFS, and we by RPC.
_NO_DATA_NODE = ("Failed to find datanode", "There are 0 datanode(s) running")


def is_standby(response: Response) -> bool:
    """Whether it comes from the member of an HA pair that is not active, or not yet ready."""
    remote = remote_exception(response)
    if remote:
        return means_standby(*_told(remote))
    if "json" in response.headers.get("content-type", ""):
        return False
    return len(response.body) < 4096 and bool(_STANDBY_TEXT.search(response.text))


def means_standby(name: str, message: str) -> bool:
    """Whether an exception comes from one that is not active, or not yet ready."""
    return name in STANDBY_EXCEPTIONS and not _is_safe_mode(name, message)


def _is_safe_mode(name: str, message: str) -> bool:
    """Of a pair, the active NameNode in safe mode says so within a RetriableException."""
    return name == "SafeModeException" or "is in safe mode" in message


def _told(remote: Mapping[str, Any]) -> tuple[str, str]:
    """The exception's class and message: those of the one within, where that is about access."""
    name, message = str(remote.get("exception", "")), str(remote.get("message", ""))
    inner = _ACCESS_WITHIN.match(message)
    return (name, message) if inner is None else (inner.group(1), message[inner.end() :])


def standby_error(response: Response, what: str, daemon: Daemon) -> StandbyError:
    location = response.headers.get("location")
    active = f" It takes {_base(location)} for the active one." if location else ""
    error = StandbyError(
        f"{what}: the {daemon.name} at {_base(response.url)} is on standby, or not ready yet."
        f"{active} Name the active one, or both with Hadoop's HA properties; if this is a "
        "failover, try again in a moment.",
        url=response.url.partition("?")[0],
        status=response.status,
    )
    error.exception = remote_exception(response).get("exception")
    error._is_starting = error.exception == "RetriableException"
    return error


def remote_exception(response: Response) -> Mapping[str, Any]:
    """The `RemoteException` that Hadoop's daemons put in the body of a failure; empty if none."""
    if not response.body.lstrip().startswith(b"{"):
        return {}
    try:
        found = json.loads(response.body).get("RemoteException")
    except (ValueError, AttributeError):
        return {}
    return found if isinstance(found, dict) else {}


def check_status(response: Response, what: str, daemon: Daemon, *, redirects: bool = False) -> None:
    """
    Raises the error for a status of 300 or more.

    Args:
        response: The answer.
        what: What was tried.
        daemon: Who answered.
        redirects: Whether a 307 is an answer, as it is to the question where data goes.
    """
    if response.status >= 300 and not (redirects and response.status == 307):
        raise status_error(response, what, daemon)


def status_error(response: Response, what: str, daemon: Daemon) -> KnitError:
    """The error for an answer with a status that says no."""
    url, status = response.url.partition("?")[0], response.status
    # With 500 in Hadoop 3, and with 403 before.
    nobody = rules_error(response.text, what, place=f"the {daemon.name} at {_base(url)}")
    if nobody is not None:
        nobody.url, nobody.status = url, status
        return nobody
    if status in (401, 403):
        refused = answered_error(_said(response), what, url=url, status=status)
        if refused is not None:
            return refused
    if _IPC_ANSWER in response.text:
        return WrongPortError(
            f"{what}: {_netloc(url)} is a Hadoop RPC port, not the web port of the {daemon.name}, "
            f"which is usually {daemon.web_ports}. Correct {daemon.property}.",
            url=url,
            status=status,
        )
    if status == 401:
        if "negotiate" in response.headers.get("www-authenticate", "").lower():
            return KerberosRequiredError(
                f"{what}: {_base(url)} wants Kerberos (401, Negotiate), and did not get it, or not "
                "one that it takes. If the Hadoop configuration used here does not say so, have "
                "hadoop.security.authentication be kerberos in its core-site.xml; if it does, get "
                "a new ticket (kdestroy, then kinit), and see what knit doctor says."
            )
        return AccessDeniedError(
            f"{what}: {url} does not accept who we are (401: {_said(response)}). Check the user "
            "name (HADOOP_USER_NAME), and whether a gateway wants a password (knit.gateway.user).",
            url=url,
            status=status,
        )
    remote = remote_exception(response)
    if remote:
        return _remote_error(remote, response, what, daemon)
    if 300 <= status < 400:
        location = response.headers.get("location", "").partition("?")[0] or "nowhere"
        return ClusterResponseError(
            f"{what}: {url} sent us on to {location}, as sign-on pages and balancers do, and "
            f"nothing was done. Is this really the {daemon.name}'s own address? It comes from "
            f"{daemon.property}.",
            url=url,
            status=status,
        )
    if status == 403 and _NO_REST_SUBMISSION in response.text:
        return AccessDeniedError(
            f"{what}: this cluster takes no submissions over REST (403: {_said(response)}). Have "
            "its administrators set yarn.webapp.enable-rest-app-submissions to true on the "
            "ResourceManager, or submit with the JVM client, which needs no REST: hadoop jar "
            "knit-am.jar prints its help, and knit-am.jar lies in this package's directory _jar.",
            url=url,
            status=status,
        )
    if status == 403:
        return AccessDeniedError(
            f"{what}: {url} refused (403: {_said(response)}). Ask the cluster's administrators for "
            "access, or be a user who has it (HADOOP_USER_NAME; with Kerberos another ticket).",
            url=url,
            status=status,
        )
    if status == 404:
        return not_the_daemon(url, what, daemon, None)
    return ClusterResponseError(
        f"{what}: {url} answered with status {status} ({_said(response)}). Look into the log of "
        f"the {daemon.name}.",
        url=url,
        status=status,
    )


def not_the_daemon(url: str, what: str, daemon: Daemon, found: str | None) -> WrongPortError:
    """The error for a web server that does not know the path, and what it is if that is known."""
    answers = f"the {found}'s" if found else "a"
    return WrongPortError(
        f"{what}: {answers} web server answers at {_base(url)}, and it does not know "
        f"{urlsplit(url).path} (404), so this is not the {daemon.name}'s, whose port is usually "
        f"{daemon.web_ports}. Correct {daemon.property}.",
        url=url,
        status=404,
        answered_by=found,
    )


def _remote_error(
    remote: Mapping[str, Any], response: Response, what: str, daemon: Daemon
) -> ClusterError:
    name, message = _told(remote)
    url = response.url.partition("?")[0]
    if means_standby(name, message):
        return standby_error(response, what, daemon)
    if message.startswith("Invalid operation") and daemon is NAME_NODE:
        # Of all that WebHDFS offers, a DataNode only moves data.
        return not_the_daemon(url, what, daemon, DATA_NODE.name)
    return exception_error(
        name, message, what, daemon, place=_base(url), url=url, status=response.status
    )


def exception_error(
    name: str,
    message: str,
    what: str,
    daemon: Daemon,
    *,
    place: str,
    url: str,
    status: int | None = None,
) -> ClusterError:
    """
    What one of Hadoop's exceptions means, by whichever door it came.

    Args:
        name: Its class, without the package.
        message: Its message, perhaps with its stack.
        what: What was tried.
        daemon: Who said so.
        place: Where that is, for people.
        url: The same, for programs.
        status: The HTTP status that came with it, if any did.
    """
    said = first_line(message) or "without a word"
    kind: type[ClusterError] = ClusterResponseError
    hint = f"Look into the log of the {daemon.name}."
    if _is_safe_mode(name, message):
        kind, hint = (
            SafeModeError,
            (
                "Wait until it has left safe mode, or look why it stays there: "
                "hdfs dfsadmin -safemode get."
            ),
        )
    elif (impersonation := _IMPERSONATION.search(said)) is not None:
        kind, hint = AccessDeniedError, _proxy_hint(impersonation)
    elif INVALID_TOKEN in name or INVALID_TOKEN in said:
        kind, hint = (
            AccessDeniedError,
            (
                "The delegation token that it was shown has ended, or was cancelled. Try again, "
                "with a ticket (kinit); what has only the tokens of a container has to be "
                "submitted anew."
            ),
        )
    elif any(sign in said for sign in _KERBEROS_BY_RPC_ALONE):
        kind, hint = (
            AccessDeniedError,
            (
                "The cluster wants Kerberos, and by this way it was told of none: have "
                "hadoop.security.authentication be kerberos in the core-site.xml used here, and "
                "where web servers know no Kerberos leave knit.door at auto, or set it to rpc."
            ),
        )
    elif _NO_LEAVE_TO_SUBMIT in said:
        kind, hint = (
            AccessDeniedError,
            (
                "Submit to a queue that lets you (knit queues; --queue), or ask the cluster's "
                "administrators: the scheduler's acl_submit_applications says who may."
            ),
        )
    elif (
        name
        in (
            "AccessControlException",
            "AuthorizationException",
            "ForbiddenException",
            "SecurityException",
        )
        or _NO_PRIVILEGE in said
    ):
        kind, hint = (
            AccessDeniedError,
            (
                "Be a user who may (HADOOP_USER_NAME; with Kerberos another ticket), or ask the "
                "cluster's administrators; if it is about your home directory, they have to make "
                "it and give it to you."
            ),
        )
    elif name in ("FileNotFoundException", "ParentNotDirectoryException"):
        kind, hint = ClusterFileNotFoundError, "Check the path."
    elif name == "FileAlreadyExistsException":
        kind, hint = ClusterFileExistsError, "Use another path, or remove what is there."
    elif "QuotaExceeded" in name or "QuotaByStorageType" in name:
        kind, hint = QuotaExceededError, "Remove files you no longer need, or ask for more."
    elif any(sign in said for sign in _NO_DATA_NODE):
        kind, hint = (
            NoDataNodeError,
            (
                "It knows no DataNode, as for some seconds after its start. If that lasts, look at "
                "its web page or at hdfs dfsadmin -report, start the DataNodes, and see in their "
                "logs why they do not register."
            ),
        )
    elif "could only be" in said:
        kind, hint = (
            QuotaExceededError,
            (
                "No DataNode could take the data: all are full, or unreachable for the NameNode or "
                "for one another. Look at its web page."
            ),
        )
    error = kind(
        f"{what}: the {daemon.name} at {place} said no ({name}: {said}). {hint}",
        url=url,
        status=status,
    )
    error.exception = name or None
    if isinstance(error, NoDataNodeError):
        # It knows some, but they are to be left out.
        error._is_lasting = re.search(r"excludeDatanodes=(?!null\b)[\w.:]", said) is not None
    if isinstance(error, SafeModeError):
        error.ends_by_itself = _LEAVES_SAFE_MODE in message
    return error


def _proxy_hint(match: re.Match[str]) -> str:
    real = (match.group(1) or match.group(3)).partition("/")[0]
    other = match.group(2) or "anyone"
    if other == real:
        return (
            f"You are {other} already, and need not act for yourself: leave the user out (--user, "
            "user=, HADOOP_PROXY_USER)."
        )
    return (
        f"Administrators allow it in the core-site.xml of the NameNode and the ResourceManager: "
        f"hadoop.proxyuser.{real}.hosts (from where) and hadoop.proxyuser.{real}.users or "
        f".groups (whom, here {other}), then hdfs dfsadmin and yarn rmadmin "
        "-refreshSuperUserGroupsConfiguration."
    )


def json_of(response: Response, what: str, daemon: Daemon) -> dict[str, Any]:
    """
    The body as a JSON object; an empty one for an empty body.

    Raises:
        ClusterResponseError: It is anything else.
        WrongPortError: It is a web page, so something else answers there.
    """
    if not response.body:
        return {}
    try:
        value = json.loads(response.body)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise _json_problem(response, what, daemon)
    return value


def _json_problem(response: Response, what: str, daemon: Daemon) -> ClusterError:
    """The error for a good status with a body that is not a JSON object."""
    url = response.url.partition("?")[0]
    if response.body.lstrip()[:1] == b"<":
        return WrongPortError(
            f"{what}: {url} answered with a web page ({_said(response)}) where the {daemon.name} "
            "sends JSON. Something else listens there, or a gateway shows its sign-on page. "
            f"Correct {daemon.property}.",
            url=url,
            status=response.status,
        )
    return ClusterResponseError(
        f"{what}: {url} answered something that is not JSON ({_said(response)}). Is this the "
        f"{daemon.name}? Its address comes from {daemon.property}.",
        url=url,
        status=response.status,
    )


def first_line(message: str, limit: int = 600) -> str:
    """A Java exception's message without its stack trace."""
    lines = [line.strip() for line in message.strip().splitlines()]
    kept = [line for line in lines if line and not line.startswith(("at ", "... "))]
    text = " ".join(kept[:4])
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _message_of_jetty(response: Response) -> str | None:
    """What a web server of Hadoop 3 says in JSON, where Hadoop's own code has no word."""
    try:
        found = json.loads(response.body)
    except ValueError:
        return None
    message = found.get("message") if isinstance(found, dict) else None
    return message if isinstance(message, str) else None


def _said(response: Response) -> str:
    """What an answer says, in a few words: the title of a page, else how its text begins."""
    remote = remote_exception(response)
    if remote:
        return first_line(str(remote.get("message", "")))
    text = _message_of_jetty(response) or response.text
    title = re.search(r"<title>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
    text = title.group(1) if title else re.sub(r"<[^>]*>", " ", text[:2000])
    return " ".join(html.unescape(text).split())[:160] or "without a word"


def _base(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _netloc(url: str) -> str:
    return urlsplit(url).netloc
