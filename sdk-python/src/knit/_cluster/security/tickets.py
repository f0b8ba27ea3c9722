"""Whose Kerberos tickets a client uses, and the talks with servers that it begins with them."""

from __future__ import annotations

import os
from datetime import datetime

from knit._cluster.security.gssapi import ContextFlag, Credentials, GssError, SecurityContext
from knit._cluster.security.problems import kerberos_error

WEB_SERVICE = "HTTP"


class Tickets:
    """
    Where tickets come from. Holds none: the cache is read anew for each use.

    It is one principal for its life: a cache that becomes somebody else's meanwhile is none of
    ours. Threads and forked processes may share it, and it survives pickle.

    Args:
        keytab: A keytab's file. Default: what the environment and krb5.conf say: a cache with a
            ticket by kinit, or the keytab that `KRB5_CLIENT_KTNAME` names.
        principal: Whose. Default: whose the cache is; the keytab's first.
    """

    def __init__(
        self, *, keytab: str | os.PathLike[str] | None = None, principal: str | None = None
    ) -> None:
        self.keytab = None if keytab is None else os.path.abspath(keytab)
        self.wanted = principal
        self._seen: str | None = None

    def __repr__(self) -> str:
        return f"<Tickets of {self.wanted or self._seen or self.keytab or 'the default cache'}>"

    def credentials(self, what: str) -> Credentials:
        """
        What a security context is made with.

        Args:
            what: What is tried, for messages.

        Raises:
            KerberosRequiredError: There is no library.
            KerberosError: There is no ticket.
        """
        try:
            found = self._credentials()
            if self._seen is None:
                self._seen = found.principal
        except GssError as error:
            raise self.problem(error, what) from error
        return found

    def _credentials(self) -> Credentials:
        if self.keytab is not None:
            return Credentials.of_keytab(self.keytab, self.wanted)
        return Credentials.default(self.wanted or self._seen)

    def principal(self, what: str = "Asking who we are") -> str:
        """
        Whose they are: `alice@EXAMPLE.COM`.

        Raises:
            KerberosError: There is no ticket, and was none before.
        """
        if self._seen is None:
            self.credentials(what)
        return self._seen or ""

    def expires_at(self, what: str = "Asking how long the ticket lives") -> datetime | None:
        """
        When the ticket ends; None if never.

        Raises:
            KerberosError: There is none.
        """
        try:
            return self._credentials().expires_at
        except GssError as error:
            raise self.problem(error, what) from error

    def begin(
        self,
        target: str,
        what: str,
        *,
        flags: ContextFlag = ContextFlag.MUTUAL,
    ) -> tuple[SecurityContext, bytes]:
        """
        A talk with a web server, and its first token. The caller closes it.

        Args:
            target: `HTTP@host`.
            what: What is tried, for messages.
            flags: What is wanted.

        Raises:
            KerberosError: It could not be made.
        """
        context = SecurityContext(target, credentials=self.credentials(what), flags=flags)
        try:
            return context, context.step()
        except GssError as error:
            context.close()
            raise self.problem(error, what, target) from error
        except BaseException:
            context.close()
            raise

    def problem(self, error: GssError, what: str, target: str | None = None) -> Exception:
        """What the library's no means, in our words."""
        return kerberos_error(
            error, what, target=target, keytab=self.keytab, principal=self.wanted or self._seen
        )
