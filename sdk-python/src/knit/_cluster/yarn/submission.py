"""What YARN is asked to start, whichever door it is handed in by."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import attrs

from knit._cluster.security.tokens import Token


@attrs.frozen(kw_only=True)
class SubmittedFile:
    """What YARN has to know of a file to bring it to a node."""

    url: str
    size_bytes: int
    modify_time_ms: int
    """Milliseconds since 1970."""
    type: str
    """FILE or ARCHIVE."""
    visibility: str
    """PUBLIC, PRIVATE or APPLICATION."""


@attrs.frozen(kw_only=True)
class Submission:
    """An application as YARN takes it: its Application Master's container, and how it counts."""

    application_id: str
    name: str
    application_type: str
    queue: str
    memory_mib: int
    vcores: int
    command: str
    files: Mapping[str, SubmittedFile] = attrs.field(factory=dict)
    """By the name that they have in the container."""
    secrets: Mapping[str, bytes] = attrs.field(factory=dict, repr=False)
    tokens: tuple[Token, ...] = attrs.field(default=(), repr=False)
    """Delegation tokens: YARN renews them."""
    cancels_tokens: bool = True
    """Whether YARN cancels them after the application's end, unless another one has them too."""
    access: Mapping[str, str] = attrs.field(factory=dict)
    """Who may VIEW_APP and MODIFY_APP: users, a space, groups; commas between them."""
    tags: tuple[str, ...] = ()
    max_attempts: int = 1
    priority: int | None = None
    attempt_failures_validity: timedelta | None = None
    """Attempts that failed longer ago do not count. None: all count."""
    node_label: str | None = None
    """The partition of its containers, unless they ask for another one. None: the queue's own."""
    master_node_label: str | None = None
    """The partition of the Application Master's container. None likewise."""
    rolled_logs: str | None = None
    """Which log files may be collected, and removed from the node, while their program runs."""


def aliased(tokens: tuple[Token, ...]) -> Mapping[str, Token]:
    """
    Tokens by the names under which credentials hold them, one for each.

    Nobody looks for tokens by these. Hadoop's own clients take the service, and so do we; of two
    kinds for one address the second has its kind in it.
    """
    found: dict[str, Token] = {}
    for token in tokens:
        alias = token.service if token.service not in found else f"{token.kind} {token.service}"
        found[alias] = token
    return found
