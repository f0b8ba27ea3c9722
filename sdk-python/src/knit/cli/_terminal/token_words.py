"""Delegation tokens, for people and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from knit.cli._terminal.words import jsonable

if TYPE_CHECKING:
    import knit


def token_sentence(token: knit.DelegationTokenInfo) -> str:
    """What one token is, and when it ends."""
    said = f"{token.kind} for {token.service or 'an unknown service'}"
    if token.is_replaced:
        if token.expire_time is None:
            return f"{said}: replaced before it ends"
        return (
            f"{said}, to submit applications with: ends on "
            f"{token.expire_time.astimezone():%Y-%m-%d %H:%M %Z} in a container that is launched "
            "now, unless it has submitted one by then"
        )
    if not token.renewer:
        return f"{said}: ends after its first interval, for nobody renews it"
    if token.max_time is None:
        return f"{said}: when it ends is not known"
    return f"{said}: ends on {token.max_time.astimezone():%Y-%m-%d %H:%M %Z}"


def tokens_words(tokens: tuple[knit.DelegationTokenInfo, ...]) -> str | None:
    """All of them, a line each, and what goes on beyond their end. None where there are none."""
    if not tokens:
        return None
    # Of one service there may be two, which are both replaced.
    lines = list(dict.fromkeys(token_sentence(token) for token in tokens))
    if not all(token.is_replaced for token in tokens):
        lines.append(
            "Beyond that containers start and logs are collected only where the ResourceManager "
            "has yarn.resourcemanager.proxy-user-privileges.enabled."
        )
    return "\n".join(lines)


def token_as_json(token: knit.DelegationTokenInfo) -> dict[str, Any]:
    """For JSON: the fields of DelegationTokenInfo."""
    value: dict[str, Any] = jsonable(attrs.asdict(token))
    return value
