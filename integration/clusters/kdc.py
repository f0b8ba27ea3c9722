"""The Kerberos of an embedded cluster: its KDC, what finds it, and everybody's keytab."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

from integration.clusters.daemons import Daemons
from integration.clusters.jars import kdc_jars
from integration.clusters.java_classes import kdc_classes
from integration.clusters.security import REALM, SERVICES, Lifetimes, service

KDC = "kdc"
"""The daemon's name."""

_TICKET_SECONDS = 10 * 60 * 60
_KRB5_CONF = """\
[libdefaults]
 default_realm = {realm}
 dns_lookup_kdc = false
 dns_lookup_realm = false
 dns_canonicalize_hostname = false
 rdns = false
 udp_preference_limit = 1
 forwardable = true
 ticket_lifetime = {ticket}s
 renew_lifetime = 7d
[realms]
 {realm} = {{
  kdc = localhost:{port}
 }}
[domain_realm]
 localhost = {realm}
"""


class Kdc:
    """
    A KDC with a principal for each daemon and each of these users.

    Its keys outlive the daemon: keytabs and tickets are good when it is back.
    """

    def __init__(
        self, directory: Path, *, port: int, users: Sequence[str], lifetimes: Lifetimes
    ) -> None:
        self._home = directory / KDC
        self._port = port
        self._users = users
        self._ticket_seconds = lifetimes.ticket or _TICKET_SECONDS
        self.keytabs = directory / "keytabs"
        self._tickets = directory / "tickets"
        self.krb5_conf = directory / "krb5.conf"
        """For users, and for containers."""
        self.daemons_krb5_conf = self._home / "krb5-daemons.conf"
        """For daemons, whose tickets are never short."""

    def keytab(self, user: str) -> Path:
        """The keytab of a user, or of a service such as ``nn/localhost``."""
        return self.keytabs / f"{_file_name(user)}.keytab"

    def cache(self, user: str) -> Path:
        """Where a user's tickets are."""
        return self._tickets / _file_name(user)

    def environment(self, user: str) -> Mapping[str, str]:
        """
        What makes a process this user's: MIT's library fetches a ticket when it needs one.

        Without ``kinit``, for not every machine has it.
        """
        return {
            "KRB5_CONFIG": str(self.krb5_conf),
            "KRB5_CLIENT_KTNAME": f"FILE:{self.keytab(user)}",
            "KRB5CCNAME": f"FILE:{self.cache(user)}",
        }

    def environment_of_tools(self, user: str, version: str) -> Mapping[str, str]:
        """What makes a tool of Hadoop's, of that version, this user's or this service's."""
        if version.startswith("2."):  # which takes tickets alone: those of our own questions
            return {"KRB5CCNAME": str(self.cache(user))}
        return {"KRB5PRINCIPAL": f"{user}@{REALM}", "KRB5KEYTAB": str(self.keytab(user))}

    def start(self, daemons: Daemons) -> None:
        """
        Start it, and wait until it answers.

        Raises:
            ToolchainError: its jars are not to be had.
            EmbeddedClusterError: it ended by itself.
        """
        for directory in (self._home, self.keytabs, self._tickets):
            directory.mkdir(mode=0o700)
        self._write_krb5_conf(self.krb5_conf, self._ticket_seconds)
        self._write_krb5_conf(self.daemons_krb5_conf, _TICKET_SECONDS)
        secret = self._home / "secret"
        descriptor = os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32))
        jars = kdc_jars()
        principals = [*map(service, SERVICES), *self._users]
        daemons.start_java(
            KDC,
            "Kdc",
            *(REALM, str(self._port), str(self._home), str(secret), str(self.keytabs)),
            *principals,
            flags=["-Xmx64m"],
            class_path=f"{kdc_classes(daemons.java, jars)}:{jars}/*",
        )
        self.wait(daemons)

    def wait(self, daemons: Daemons) -> None:
        """Wait until it answers."""
        daemons.wait(self._answers, what="the KDC did not come up", names=[KDC])

    def _answers(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex(("localhost", self._port)) == 0

    def _write_krb5_conf(self, path: Path, ticket_seconds: int) -> None:
        text = _KRB5_CONF.format(realm=REALM, port=self._port, ticket=ticket_seconds)
        path.write_text(text, encoding="ascii")


def _file_name(principal: str) -> str:
    return principal.replace("/", "_")
