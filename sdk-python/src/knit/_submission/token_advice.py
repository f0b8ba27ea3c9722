"""What is worth saying of the delegation tokens of a submission, and why YARN refused one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from knit._cluster.security.token_services import file_system_service
from knit._cluster.security.tokens import (
    HDFS_KIND,
    KMS_KIND,
    RESOURCE_MANAGER_KIND,
    Token,
)
from knit._submission.facts import ClusterFacts
from knit._submission.tokens import ends_of
from knit._values.spec import ApplicationSpec
from knit.exceptions import SubmissionError

if TYPE_CHECKING:
    from knit._cluster.configuration.config import ClusterConfig

_REFUSED = re.compile(r"Failed to renew token: Kind: (?P<kind>[^,]+), Service: (?P<service>\S*),")
PROXY_PRIVILEGES = "yarn.resourcemanager.proxy-user-privileges.enabled"
_WORDS = {
    HDFS_KIND: "a file system",
    RESOURCE_MANAGER_KIND: "the ResourceManager",
    KMS_KIND: "the key management server",
}


def token_advice(
    facts: ClusterFacts, spec: ApplicationSpec, tokens: Sequence[Token], *, held: bool = False
) -> Iterator[str]:
    """
    When the tokens end, and what ends with them, in sentences.

    Args:
        facts: The cluster.
        spec: What is submitted.
        tokens: What goes with it.
        held: Whether they are those of the container that it is submitted from.
    """
    known = ends_of(tuple(tokens))
    if not known:
        return
    ends = [found.max_time for found in known.values() if found.max_time is not None]
    if ends and spec.keytab is None:
        yield (
            "The delegation tokens of its programs and its Application Master"
            f"{', which are those of this container,' if held else ''} end on "
            f"{time_text(min(ends))}, for no keytab goes with it. {beyond(facts)}"
        )
    for token, found in known.items():
        if not found.renewer:
            yield (
                f"Nobody renews the token for {token.service}: it ends after its first interval "
                "(dfs.namenode.delegation.token.renew-interval there, a day by default)."
            )


def beyond(facts: ClusterFacts) -> str:
    """What YARN itself can do beyond the end of the tokens."""
    said = facts.configured(PROXY_PRIVILEGES)
    if said is None:
        return (
            "Containers start and logs are collected beyond that only where the ResourceManager "
            f"has {PROXY_PRIVILEGES}."
        )
    if _is_on(said):
        return (
            "Containers start and logs are collected beyond that, for the ResourceManager has "
            f"{PROXY_PRIVILEGES}."
        )
    return (
        "Beyond that no container starts and no logs are collected, for the ResourceManager lacks "
        f"{PROXY_PRIVILEGES}."
    )


def _since(token: Token) -> str:
    found = ends_of((token,)).get(token)
    time = None if found is None else found.issue_time
    return "" if time is None else f", issued on {time_text(time)}"


def _is_on(value: str) -> bool:
    return value.strip().lower() == "true"


def time_text(time: datetime) -> str:
    """A time for people, in their own zone."""
    return time.astimezone().strftime("%Y-%m-%d %H:%M %Z")


def explain_renewal(
    config: ClusterConfig, tokens: Sequence[Token], error: SubmissionError, *, held: bool = False
) -> SubmissionError:
    """
    The error for a submission whose tokens the ResourceManager could not renew.

    Args:
        config: The cluster's.
        tokens: What went with it.
        error: What YARN says.
        held: Whether they are those of the container that it is submitted from.

    Returns:
        The same, where that is not why it was refused.
    """
    match = _REFUSED.search(error.message)
    if match is None:
        return error
    kind, service = match["kind"], match["service"]
    named = next((t for t in tokens if (t.kind, t.service) == (kind, service)), None)
    whose = f"{_WORDS.get(kind, kind)}, {service}" if service else _WORDS.get(kind, kind)
    said = (
        f"YARN refused the application: its ResourceManager could not renew the delegation token "
        f"of {whose}."
    )
    if named is None:
        out = "Ask the cluster's administrators: the ResourceManager's log says why."
    elif held:
        out = (
            f"It is what this container holds{_since(named)}, and may have ended: where a keytab "
            "replaces tokens, one to submit with ends after its first interval, a day by default, "
            "unless something has been submitted with it by then. Launch the container anew, or "
            "submit from the driver, whose tokens are replaced; or run kinit."
        )
    elif kind == HDFS_KIND and service != file_system_service(config, config.default_fs):
        out = (
            "It has to reach that file system, and to be the renewer by the name that it has "
            "there. Where it cannot, name the file system without a renewer: "
            "knit.FileSystem(url, without_renewer=True), or `without_renewer: true`; its token "
            "then ends after its first interval, a day by default."
        )
    else:
        out = (
            "It renews as yarn.resourcemanager.principal, which here is "
            f"{config.get('yarn.resourcemanager.principal')}. Correct that as in the cluster's own "
            "yarn-site.xml, and ask its administrators, whose ResourceManager's log says why."
        )
    return SubmissionError(f"{said} {out}", url=error.url, status=error.status)
