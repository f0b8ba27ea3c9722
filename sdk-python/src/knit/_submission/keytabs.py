"""The keytab of a long application: whose it is, and that it may travel."""

from __future__ import annotations

import attrs

from knit._cluster.cluster import Cluster
from knit._cluster.identity import own_rules
from knit._cluster.rpc.protection import PROTECTION_PROPERTY, Protection, protections_of
from knit._cluster.security.keytabs import NoKeytabError, entries_in
from knit._values.paths import expanded, look_at, reason
from knit._values.spec import ApplicationSpec
from knit.exceptions import ConfigurationError, FileMissingError, SpecError

KEYTAB_SECRET = "knit.keytab"  # noqa: S105  (the name of a secret, not one)
LARGEST_KEYTAB_BYTES = 64 * 1024
"""A user's has a hundred bytes for each kind of encryption; the submission carries it."""
_MOST_TOLD = 10


@attrs.frozen
class Keytab:
    """A keytab that goes with a submission."""

    principal: str
    """Who the Application Master is to be with it."""
    data: bytes = attrs.field(repr=False)


def read_keytab_of(spec: ApplicationSpec) -> Keytab | None:
    """
    The keytab that a specification names; None if none.

    Raises:
        FileMissingError: It does not exist.
        SpecError: It is none, too large, or not the principal's.
    """
    if spec.keytab is None:
        if spec.principal is not None:
            raise SpecError(
                f"principal is {spec.principal}, and there is no keytab: give the keytab too, or "
                "leave it out."
            )
        return None
    path = expanded(spec.keytab)
    found = look_at(path, what="keytab")
    if found is None:
        raise FileMissingError(f"The keytab {path} does not exist on this machine.")
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_KEYTAB_BYTES + 1)
    except OSError as error:
        raise SpecError(
            f"The keytab {path} cannot be read ({reason(error)}). Check its permissions."
        ) from None
    if len(data) > LARGEST_KEYTAB_BYTES:
        raise SpecError(
            f"The keytab {path} has more than {LARGEST_KEYTAB_BYTES // 1024} KiB, and the "
            "submission carries it: make one with this principal alone (ktutil, or kadmin's ktadd)."
        )
    try:
        principals = list(dict.fromkeys(entry.principal for entry in entries_in(data)))
    except NoKeytabError as error:
        raise SpecError(f"{path} is no keytab ({error}): ktutil or kadmin makes one.") from None
    return Keytab(_principal(spec.principal, principals, str(path)), data)


def check_way(cluster: Cluster) -> None:
    """
    Raises unless what is submitted travels encrypted, whichever way leads to the ResourceManager.

    It has to have answered before: only then is it known which.

    Raises:
        SpecError: It does not, and a keytab must not be read on its way.
    """
    address = cluster.resource_manager.address
    if "://" in address:
        plain = [url for url in cluster.config.resource_managers if not url.startswith("https:")]
        if plain:
            raise SpecError(
                "A keytab goes to a cluster over https or encrypted RPC only, and the "
                f"ResourceManager is {plain[0]}. Leave the keytab out, or have its administrators "
                "set yarn.http.policy to HTTPS_ONLY."
            )
    elif [*protections_of(cluster.config)] != [Protection.PRIVACY]:
        raise SpecError(
            "A keytab goes to a cluster over https or encrypted RPC only, and the RPC of the "
            f"ResourceManager at {address} need not be: {PROTECTION_PROPERTY} is "
            f"{cluster.config.get(PROTECTION_PROPERTY) or 'authentication'} here. Set it to "
            "privacy here, which the cluster has to offer too, or leave the keytab out."
        )


def owner_advice(cluster: Cluster, keytab: Keytab) -> list[str]:
    """
    What is to be said where a keytab is not of the user whose application it goes with.

    By the rules of our own configuration, which may lack some of the cluster's: so it is no error.
    """
    try:
        name = own_rules(cluster.config, keytab.principal).of(keytab.principal)
    except ConfigurationError:
        return []
    if name == cluster.user:
        return []
    return [
        f"The keytab is of {keytab.principal}, whom the cluster takes for {name} by "
        f"hadoop.security.auth_to_local here, and the application is {cluster.user}'s. With it the "
        f"Application Master reads and writes as {name}, so that logs and files of "
        f"{cluster.user}'s may be closed to it: ship a keytab of {cluster.user}'s."
    ]


def _principal(wanted: str | None, there: list[str], path: str) -> str:
    shown = ", ".join(there[:_MOST_TOLD]) or "none"
    if len(there) > _MOST_TOLD:
        shown += f" and {len(there) - _MOST_TOLD} more"
    if wanted is None:
        if len(there) == 1:
            return there[0]
        raise SpecError(
            f"The keytab {path} holds keys of {shown}: say with principal whose are meant."
        )
    if wanted not in there:
        raise SpecError(
            f"The keytab {path} holds no key of {wanted}, but of {shown}: give that principal, or "
            "another keytab."
        )
    return wanted
