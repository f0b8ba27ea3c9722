"""
What GSSAPI's refusals mean, in our words: one sentence each, with the command that mends it.

Decided by the codes of RFC 2744 and of krb5; what the library says to them goes into the message.
"""

from __future__ import annotations

import os
import re

import attrs

from knit._cluster.security.gssapi import (
    CREDENTIALS_EXPIRED,
    NO_CREDENTIALS,
    GssError,
    GssLibraryError,
)
from knit._cluster.security.keytabs import NoKeytabError, read_keytab
from knit.exceptions import (
    ClockSkewError,
    KdcUnreachableError,
    KerberosError,
    KerberosRequiredError,
    KeytabError,
    KnitError,
    ServerIdentityError,
    TicketExpiredError,
    TicketMissingError,
)

_KRB5 = -1765328384
_PROFILE = range(-1429577728, -1429577728 + 40)
"""The library's own errors with the format of krb5.conf."""

_A_FILE = "FILE:/tmp/krb5cc_knit"
_BROKEN = ("Bad format in credentials cache", "format version number", "Permission denied")
"""
What MIT's library says of a cache that is there and is none. Its code is that of no ticket.
"""

INSTALL = (
    "Install MIT's library: apt-get install libgssapi-krb5-2 (Debian, Ubuntu), dnf install "
    "krb5-libs (RHEL, Fedora, Rocky), zypper install krb5 (SUSE), apk add krb5-libs (Alpine)"
)

CLIENT_UNKNOWN, SERVER_UNKNOWN, CLIENT_REVOKED, PASSWORD_EXPIRED = 6, 7, 18, 23
PREAUTHENTICATION_FAILED, WRONG_KEY, TICKET_EXPIRED, NOT_YET_VALID = 24, 31, 32, 33
SKEW, OLD_KEY, NO_KEY, NOT_PROVED, WRONG_REALM = 37, 44, 45, 46, 68
CONFIG_MISSING, CONFIG_MALFORMED, CACHE_KIND_UNKNOWN, NO_TICKET = 135, 136, 140, 141
REPLY_SKEW, REALM_UNKNOWN, KDC_SILENT, ALSO_NOT_PROVED = 148, 154, 156, 158
KEY_NOT_FOUND, CACHE_UNREADABLE, NO_CACHE, CACHE_MALFORMED = 181, 194, 195, 199
CACHE_VERSION, NO_HOST_NAME, NO_HOST_REALM, KDC_ADDRESS_UNKNOWN, NO_DEFAULT_REALM = (
    *(212, 216, 217),
    *(220, 224),
)
"""Numbers of krb5's errors: those up to 127 are the protocol's, the others its library's."""


@attrs.frozen
class _Case:
    """What was refused, with all that a sentence may need."""

    what: str
    said: str
    target: str | None
    keytab: str | None
    principal: str | None

    @property
    def who(self) -> str:
        return self.principal or "PRINCIPAL"

    @property
    def kinit(self) -> str:
        if self.keytab is not None:
            return f"kinit -kt {self.keytab} {self.who}"
        return f"kinit {self.principal}" if self.principal else "kinit"

    def text(self, sentence: str, remedy: str) -> str:
        return f"{self.what}: {sentence} ({self.said}). {remedy}"


def kerberos_error(
    error: GssError,
    what: str,
    *,
    target: str | None = None,
    keytab: str | None = None,
    principal: str | None = None,
) -> KnitError:
    """
    The error for what the library refused.

    Args:
        error: What it said.
        what: What was tried, for messages: "Asking for the queues".
        target: Whom we wanted to talk to, `HTTP@host` or a whole principal.
        keytab: The keytab's file, where the ticket is to come from one.
        principal: Who we are, where that is known.
    """
    case = _Case(what, error.text or "without a word", target, keytab, principal)
    if isinstance(error, GssLibraryError):
        return _no_library(case)
    if error.minor in _PROFILE:
        return _bad_configuration(case)
    number = error.minor - _KRB5
    if number in _BY_NUMBER:
        return _BY_NUMBER[number](case)
    if error.major == CREDENTIALS_EXPIRED:
        return _expired(case)
    if error.major == NO_CREDENTIALS:
        return _no_ticket(case)
    return KerberosError(
        case.text("Kerberos failed", f"See it whole: knit doctor, and klist -e.{_across(case)}")
    )


_SAID_BY_JAVA = re.compile(r"GSSException.*?\((\d{1,3})\)")


def answered_error(text: str, what: str, *, url: str, status: int) -> KerberosError | None:
    """
    The error for a web server that did not take a ticket, and says why in Java's words.

    Args:
        text: What it says, such as `GSSException: … (Mechanism level: Clock skew too great (37))`.
        what: What was tried, for messages.
        url: Where.
        status: The HTTP status.

    Returns:
        None if it is about something else.
    """
    found = _SAID_BY_JAVA.search(text)
    if found is None and "GSSException" not in text:
        return None
    case = _Case(what, " ".join(text.split())[:300], url, None, None)
    number = int(found.group(1)) if found else 0
    if number == SKEW:
        error: KerberosError = _skew(case)
    elif number in (WRONG_KEY, OLD_KEY, NO_KEY) or "Checksum failed" in text:
        error = ServerIdentityError(
            case.text(
                f"the server at {url} cannot read the ticket that the KDC gave us for it",
                "Its keytab is older than the KDC's key: get new tickets (kdestroy, then kinit); "
                "if that does not help, its administrators have to write the keytab anew and "
                "restart it.",
            )
        )
    else:
        error = KerberosError(
            case.text(
                f"the server at {url} did not take our ticket",
                "Get a new one (kdestroy, then kinit) and see what knit doctor says.",
            )
        )
    error.url, error.status = url, status
    return error


def _no_library(case: _Case) -> KnitError:
    return KerberosRequiredError(
        f"{case.what}: the cluster wants Kerberos, and this machine cannot do it ({case.said}). "
        f"{INSTALL}. Nothing has to be compiled."
    )


def _bad_configuration(case: _Case) -> KnitError:
    return KerberosError(
        case.text(
            f"{configuration_files()} cannot be used",
            "Put the realm's file there, or name it in KRB5_CONFIG; its administrators have it, "
            "and each node of the cluster.",
        )
    )


def _no_ticket(case: _Case) -> KnitError:
    if case.keytab is not None:
        return _keytab(case, case.keytab)
    cache = os.environ.get("KRB5CCNAME")
    kind = (cache or "").partition(":")[0].upper() if ":" in (cache or "") else ""
    if kind and kind not in CACHE_KINDS:
        return _unknown_cache(case)
    keytab = _client_keytab()
    if keytab:
        return _no_ticket_by_variable(case, keytab)
    named = f" (KRB5CCNAME is {cache})" if cache else ""
    if kind in ("", "FILE") and any(sign in case.said for sign in _BROKEN):
        return _broken_cache(case)
    elsewhere = (
        f" Where kinit reaches no {kind} either, use a file: export KRB5CCNAME={_A_FILE}."
        if kind not in ("", "FILE")
        else ""
    )
    return TicketMissingError(
        case.text(
            f"there is no Kerberos ticket{f' for {case.principal}' if case.principal else ''}",
            f"Get one: {case.kinit}. Where there is one (klist), this process looks elsewhere for "
            f"it{named}.{elsewhere}",
        )
    )


def _client_keytab() -> str | None:
    """The file that `KRB5_CLIENT_KTNAME` names; None where it is not set, or names another kind."""
    named = os.environ.get("KRB5_CLIENT_KTNAME", "").removeprefix("FILE:")
    return None if not named or re.match(r"[A-Z]{2,}:", named) else named


def _no_ticket_by_variable(case: _Case, keytab: str) -> KnitError:
    """A keytab that the environment names gave none; the library does not tell why."""
    try:
        held = [entry.principal for entry in read_keytab(keytab)]
    except NoKeytabError as error:
        return KeytabError(
            f"{case.what}: there is no Kerberos ticket, and the keytab that KRB5_CLIENT_KTNAME "
            f"names, {keytab}, cannot be used ({error}). Name a file there that this user can "
            "read, or unset the variable and run kinit."
        )
    if case.principal is not None and case.principal in held:
        held = [case.principal]
    return TicketMissingError(
        case.text(
            "there is no Kerberos ticket, and the keytab that KRB5_CLIENT_KTNAME names, "
            f"{keytab}, gave none",
            f"Try kinit -kt {keytab} {held[0] if held else case.who}, which says more.",
        )
    )


def _unknown_cache(case: _Case) -> KnitError:
    return TicketMissingError(
        case.text(
            f"the cache of tickets is of a kind that the library here does not know or reach: "
            f"{os.environ.get('KRB5CCNAME', 'the default')}",
            f"Use a file, for kinit and for this process: export KRB5CCNAME={_A_FILE}; "
            f"{case.kinit}.",
        )
    )


def _broken_cache(case: _Case) -> KnitError:
    name = os.environ.get("KRB5CCNAME", "")
    path = name.removeprefix("FILE:")
    if path and os.path.isdir(path):
        return TicketMissingError(
            case.text(
                f"the cache of tickets that KRB5CCNAME names, {name}, is a directory",
                f"Name a file (export KRB5CCNAME={_A_FILE}), or DIR:{path} for a collection of "
                f"caches; then {case.kinit}.",
            )
        )
    named = f" that KRB5CCNAME names, {name}," if name else ""
    return TicketMissingError(
        case.text(
            f"the cache of tickets{named} cannot be read",
            f"Make it anew: kdestroy; {case.kinit}. It has to be readable by this user.",
        )
    )


def _expired(case: _Case) -> KnitError:
    return TicketExpiredError(
        case.text(
            "the Kerberos ticket has ended",
            f"Get a new one: {case.kinit}. Applications run on without it, and what was waited "
            "for can be waited for again; a keytab (keytab=, KRB5_CLIENT_KTNAME) needs nobody "
            "for that.",
        )
    )


def _keytab(case: _Case, keytab: str) -> KnitError:
    try:
        entries = read_keytab(keytab)
    except NoKeytabError as error:
        return KeytabError(
            f"{case.what}: the keytab {keytab} cannot be used ({error}). Name a file that "
            f"this user can read: klist -kt {keytab} shows what is in it."
        )
    held = list(dict.fromkeys(entry.principal for entry in entries))
    wanted = case.principal
    if not held or (wanted and not any(wanted in (h, h.rpartition("@")[0]) for h in held)):
        return KeytabError(
            f"{case.what}: the keytab {keytab} has no key of "
            f"{case.principal or 'any principal'}; it has those of "
            f"{', '.join(held[:8]) or 'nobody'}. Name one of them as principal, or another keytab."
        )
    return KeytabError(
        case.text(
            f"the keytab {keytab} gave no ticket for {case.principal or held[0]}",
            f"Try kinit -kt {keytab} {case.principal or held[0]}, which says more.",
        )
    )


def _old_key(case: _Case) -> KnitError:
    keytab = case.keytab or _client_keytab()
    if keytab is None:
        return KerberosError(
            case.text(
                "the key that was used is not the KDC's",
                f"Get new tickets: kdestroy; {case.kinit}.{_across(case)}",
            )
        )
    who = case.principal or _first_in(keytab) or case.who
    return KeytabError(
        case.text(
            f"the KDC does not take the key in the keytab {keytab}: it was made before the "
            "password or key was changed last",
            "Have it written anew (ktadd, ktutil), and compare: "
            f"klist -kt {keytab} shows its kvno, kvno {who} the KDC's.{_across(case)}",
        )
    )


def _first_in(keytab: str) -> str | None:
    """Whose tickets a keytab gives where nobody is named."""
    try:
        return next((entry.principal for entry in read_keytab(keytab)), None)
    except NoKeytabError:
        return None


def _unknown_client(case: _Case) -> KnitError:
    kind = KerberosError if case.keytab is None else KeytabError
    return kind(
        case.text(
            f"the KDC does not know {case.principal or 'this principal'}",
            "Check the name and its realm (after the @), and that krb5.conf is of that realm.",
        )
    )


def _locked(case: _Case) -> KnitError:
    return KerberosError(
        case.text(
            f"{case.principal or 'this principal'} is locked, or its password has ended",
            f"Change the password (kpasswd {case.who}), or ask the realm's administrators.",
        )
    )


_TRUST = re.compile(r"krbtgt/([^@\s]+)@([^\s)]+)")
_SERVER = re.compile(r"Server [^@\s]+@([^\s)]+)")


def _across(case: _Case) -> str:
    """
    What it may be where the server is of another realm, or may be: a KDC says nothing of that.

    Seen of MIT's: with another key of the same number "Decrypt integrity check failed" (31), with
    another number "PROCESS_TGS" (60), with none that it knows no such server (7).
    """
    if case.target is None or "@" not in (case.principal or ""):
        return ""
    own = case.who.rpartition("@")[2]
    found = _SERVER.search(case.said)
    theirs = found[1] if found else case.target.rpartition("@")[2] if "/" in case.target else ""
    if theirs == own:
        return ""
    is_so = f"As the server is of {theirs}" if theirs else f"If the server is not of {own}"
    return (
        f" {is_so}, and we are {case.who}, the KDCs of both realms need the same key of "
        f"krbtgt/{theirs or 'REALM'}@{own}, under the same number (kvno): their administrators "
        "make it anew in both."
    )


def _unknown_server(case: _Case) -> KnitError:
    trust = _TRUST.search(case.said)
    if trust is not None and trust[1] != trust[2]:
        return _no_trust(case, to=trust[1], of=trust[2])
    return ServerIdentityError(
        case.text(
            f"the KDC knows no {case.target or 'such server'}",
            "It goes by another name: name the host in the Hadoop configuration as its principal "
            "does, and for web servers see dns_canonicalize_hostname and rdns in the "
            f"[libdefaults] of {configuration_files()}, by which the library makes another name "
            "of it. Or it has no principal at all: ask the cluster's administrators."
            f"{_across(case)}",
        )
    )


def _no_trust(case: _Case, *, to: str, of: str) -> KnitError:
    # Of the server's identity, too: whose realm is guessed wrong may want no Kerberos at all.
    return ServerIdentityError(
        case.text(
            f"with a ticket of {of} there is no way to {case.target or 'this server'}, which is "
            f"taken for one of the realm {to}",
            f"If it is, {to} has to trust {of}: the KDCs of both need the key of "
            f"krbtgt/{to}@{of}, which their administrators make. If it is another realm's, name "
            f"the host in the [domain_realm] of {configuration_files()}; where realms trust each "
            "other through a third one, that is for [capaths].",
        )
    )


def _unproved_server(case: _Case) -> KnitError:
    return ServerIdentityError(
        case.text(
            f"{case.target or 'the server'} could not prove who it is",
            "Something else may answer in its place. Ask the cluster's administrators.",
        )
    )


def _kdc(case: _Case) -> KnitError:
    return KdcUnreachableError(
        case.text(
            "no KDC of the realm answered",
            f"Check kdc in [realms] of {configuration_files()}, and the way to port 88 (VPN, "
            "firewall); udp_preference_limit = 1 there takes TCP. Trying again may help.",
        )
    )


def _realm(case: _Case) -> KnitError:
    names = configuration_files().split(os.pathsep)
    if not any(os.path.isfile(name) for name in names):
        return KerberosError(
            case.text(
                f"there is no {' nor '.join(names)}, and nothing else says where the KDC of the "
                "realm is",
                "Put the realm's krb5.conf there, or name it in KRB5_CONFIG; each node of the "
                "cluster has one.",
            )
        )
    return KerberosError(
        case.text(
            "nothing says where the KDC of the realm is",
            f"Name it in [realms] of {configuration_files()}, and which hosts are the realm's in "
            "[domain_realm].",
        )
    )


def _skew(case: _Case) -> KerberosError:
    return ClockSkewError(
        case.text(
            "the clocks differ by more than Kerberos takes, 5 minutes by default",
            "Set this machine's clock (timedatectl set-ntp true, chronyc makestep), or the "
            "cluster's; knit doctor compares them.",
        )
    )


CACHE_KINDS = ("FILE", "DIR", "KEYRING", "KCM", "MEMORY", "API", "MSLSA")
"""Those that MIT's library and Heimdal's have names for, wherever they were built."""

_BY_NUMBER = {
    CLIENT_UNKNOWN: _unknown_client,
    SERVER_UNKNOWN: _unknown_server,
    CLIENT_REVOKED: _locked,
    PASSWORD_EXPIRED: _locked,
    PREAUTHENTICATION_FAILED: _old_key,
    WRONG_KEY: _old_key,
    TICKET_EXPIRED: _expired,
    NOT_YET_VALID: _skew,
    SKEW: _skew,
    OLD_KEY: _old_key,
    NO_KEY: _old_key,
    NOT_PROVED: _unproved_server,
    WRONG_REALM: _realm,
    CONFIG_MISSING: _bad_configuration,
    CONFIG_MALFORMED: _bad_configuration,
    CACHE_KIND_UNKNOWN: _unknown_cache,
    NO_TICKET: _no_ticket,
    REPLY_SKEW: _skew,
    REALM_UNKNOWN: _realm,
    KDC_SILENT: _kdc,
    ALSO_NOT_PROVED: _unproved_server,
    KEY_NOT_FOUND: _no_ticket,
    CACHE_UNREADABLE: _broken_cache,
    NO_CACHE: _no_ticket,
    CACHE_MALFORMED: _broken_cache,
    CACHE_VERSION: _broken_cache,
    NO_HOST_NAME: _unknown_server,
    NO_HOST_REALM: _realm,
    KDC_ADDRESS_UNKNOWN: _kdc,
    NO_DEFAULT_REALM: _bad_configuration,
}


def configuration_files() -> str:
    """Where the library reads krb5.conf, for messages."""
    return os.environ.get("KRB5_CONFIG") or "/etc/krb5.conf"
