"""What people are told of an application's delegation tokens."""

from __future__ import annotations

from datetime import datetime, timezone

import attrs
import pytest

from knit import ApplicationDescription, DelegationTokenInfo
from knit.cli._terminal.token_words import token_as_json, token_sentence, tokens_words
from knit.v1 import application_service_pb2

ENDS = datetime(2030, 1, 2, 3, 4, tzinfo=timezone.utc)
KNOWN = DelegationTokenInfo(
    kind="HDFS_DELEGATION_TOKEN", service="ha-hdfs:ns", max_time=ENDS, renewer="rm"
)


def test_the_application_masters_answer_holds_them() -> None:
    message = application_service_pb2.GetApplicationResponse()
    token = message.tokens.add(
        kind=KNOWN.kind, service=KNOWN.service, renewer="rm", is_replaced=True
    )
    token.max_time.FromDatetime(ENDS)
    token.expire_time.FromDatetime(ENDS)
    message.tokens.add(kind="other")
    found = ApplicationDescription._from_proto(message).tokens
    assert found == (
        DelegationTokenInfo(
            kind="HDFS_DELEGATION_TOKEN",
            service="ha-hdfs:ns",
            max_time=ENDS,
            renewer="rm",
            is_replaced=True,
            expire_time=ENDS,
        ),
        DelegationTokenInfo(kind="other", service=""),
    )


@pytest.mark.parametrize(
    ("token", "said"),
    [
        (KNOWN, f"for ha-hdfs:ns: ends on {ENDS.astimezone():%Y-%m-%d %H:%M}"),
        (
            DelegationTokenInfo(kind="k", service="s", renewer="rm", is_replaced=True),
            "k for s: replaced before it ends",
        ),
        (
            attrs.evolve(KNOWN, is_replaced=True, expire_time=ENDS),
            f"to submit applications with: ends on {ENDS.astimezone():%Y-%m-%d %H:%M}",
        ),
        (DelegationTokenInfo(kind="k", service="s", max_time=ENDS), "ends after its first"),
        (DelegationTokenInfo(kind="k", service="", renewer="rm"), "when it ends is not known"),
    ],
)
def test_a_token_is_told_in_a_line(token: DelegationTokenInfo, said: str) -> None:
    assert said in token_sentence(token)
    assert "\n" not in token_sentence(token)


def test_what_goes_on_beyond_their_end_is_told_where_they_end() -> None:
    assert tokens_words(()) is None
    kept = DelegationTokenInfo(kind="k", service="s", is_replaced=True)
    assert "Beyond that" not in (tokens_words((kept,)) or "")
    assert tokens_words((kept, attrs.evolve(kept, renewer="rm"))) == tokens_words((kept,))
    assert "Beyond that containers start" in (tokens_words((kept, KNOWN)) or "")


def test_as_json_times_are_text() -> None:
    assert token_as_json(KNOWN) == {
        "kind": "HDFS_DELEGATION_TOKEN",
        "service": "ha-hdfs:ns",
        "issue_time": None,
        "max_time": "2030-01-02T03:04:00+00:00",
        "renewer": "rm",
        "is_replaced": False,
        "expire_time": None,
    }
