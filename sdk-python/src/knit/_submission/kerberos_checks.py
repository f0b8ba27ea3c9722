"""What `knit doctor` looks at on a cluster with Kerberos, before the cluster itself is asked."""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone
from pathlib import Path

from knit._cluster.cluster import Cluster
from knit._cluster.security.gssapi import GssError, library_path
from knit._cluster.security.keytabs import NoKeytabError, read_keytab
from knit._cluster.security.problems import configuration_files, kerberos_error
from knit._cluster.security.ticket_cache import Krb5Error, default_cache, default_realm
from knit._cluster.security.tickets import Tickets
from knit.exceptions import KerberosError, KeytabError

_SOON = timedelta(hours=1)


def check_library() -> str:
    """There is a library that speaks Kerberos."""
    try:
        return f"Kerberos is spoken by {library_path()}."
    except GssError as error:
        raise kerberos_error(error, "Looking for a Kerberos library") from error


def check_krb5_conf() -> str:
    """krb5.conf can be read, where there is one."""
    names = configuration_files().split(os.pathsep)
    there = [name for name in names if Path(name).is_file()]
    try:
        realm = default_realm()
    except Krb5Error as error:
        raise KerberosError(
            f"{' and '.join(there or names)} cannot be read ({error}). Put the realm's file there, "
            "or name it in KRB5_CONFIG; each node of the cluster has one."
        ) from error
    named = f"its default realm is {realm}" if realm else "it names no default realm"
    if not there:
        return f"There is no {' nor '.join(names)}, so realms are looked up in the DNS."
    return f"{' and '.join(there)}: {named}."


def check_ticket(tickets: Tickets) -> str:
    """There is a ticket, or a keytab that gives one; with its end."""
    source = _keytab(tickets.keytab) if tickets.keytab is not None else _cache()
    what = f"Looking for a Kerberos ticket {source.where}"
    tickets.credentials(what)
    principal = tickets.principal(what)
    ends = tickets.expires_at(what)
    until = "without an end" if ends is None else f"until {_clock(ends)}{source.renewable}"
    soon = ""
    if ends is not None and source.by_hand and ends - datetime.now(timezone.utc) < _SOON:
        soon = " It ends soon: kinit, or kinit -R while it can be renewed."
    return f"{principal} has a ticket {until}, {source.where}.{soon}"


class _Source:
    def __init__(self, where: str, *, by_hand: bool, renewable: str = "") -> None:
        self.where, self.by_hand, self.renewable = where, by_hand, renewable


def _keytab(path: str) -> _Source:
    try:
        entries = read_keytab(path)
    except NoKeytabError as error:
        raise KeytabError(
            f"The keytab {path} cannot be used ({error}). Name a file that this user can read."
        ) from error
    newest = {entry.principal: entry.version for entry in entries}
    held = ", ".join(f"{principal} (kvno {kvno})" for principal, kvno in list(newest.items())[:4])
    more = f" and {len(newest) - 4} more" if len(newest) > 4 else ""
    return _Source(f"by the keytab {path} with keys of {held or 'nobody'}{more}", by_hand=False)


def _cache() -> _Source:
    keytab = os.environ.get("KRB5_CLIENT_KTNAME")
    also = f", which the keytab {keytab} fills (KRB5_CLIENT_KTNAME)" if keytab else ""
    try:
        report = default_cache()
    except Krb5Error:
        report = None  # told of krb5.conf
    if report is None:
        return _Source(f"in the default cache{also}", by_hand=not keytab)
    until = report.renewable_until
    renewable = "" if until is None else f" (renewable until {_clock(until)})"
    return _Source(
        f"in the cache {report.name} of the kind {report.kind}{also}",
        by_hand=not keytab,
        renewable=renewable,
    )


def check_user(cluster: Cluster) -> str:
    """The short name that the cluster makes of the principal."""
    tickets = cluster.tickets
    principal = tickets.principal() if tickets else ""
    if cluster.acting_for is not None:
        return f"{principal} acts for {cluster.acting_for}, which the cluster has to allow."
    return f"The cluster knows {principal} as {cluster.user}."


def _clock(moment: datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
