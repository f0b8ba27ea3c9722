"""The delegation tokens that a test says its application holds."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import attrs

from knit import DelegationTokenInfo, Role
from knit.testing import FakeApplicationMaster

ISSUED = datetime(2026, 5, 1, 12, tzinfo=timezone.utc)
HDFS = DelegationTokenInfo(
    kind="HDFS_DELEGATION_TOKEN",
    service="ha-hdfs:prod",
    issue_time=ISSUED,
    max_time=ISSUED + timedelta(days=7),
    renewer="rm",
    is_replaced=True,
)
OTHER = DelegationTokenInfo(kind="unheard-of", service="host:1")


def test_they_are_told_as_they_were_given() -> None:
    with FakeApplicationMaster() as fake:
        app = fake.application()
        assert app.describe().tokens == ()
        fake.hold_tokens(HDFS, OTHER)
        assert app.describe().tokens == (HDFS, OTHER)
        fake.begin_anew()
        assert app.describe().tokens == (HDFS, OTHER)
        renewed = attrs.evolve(HDFS, max_time=ISSUED + timedelta(days=14))
        fake.hold_tokens(renewed)
        assert app.describe().tokens == (renewed,)
        fake.hold_tokens()
        assert app.describe().tokens == ()


def test_viewers_are_told_none() -> None:
    with FakeApplicationMaster() as fake:
        fake.hold_tokens(HDFS)
        told = {
            role: fake.application(role=role).describe().tokens
            for role in (Role.OWNER, Role.OPERATOR, Role.VIEWER)
        }
        assert told == {Role.OWNER: (HDFS,), Role.OPERATOR: (HDFS,), Role.VIEWER: ()}
        assert fake.current("worker").application.describe().tokens == (HDFS,)


def test_of_very_many_the_first_are_told() -> None:
    """As the contract has it."""
    with FakeApplicationMaster() as fake:
        fake.hold_tokens(*(attrs.evolve(OTHER, service=f"host:{n}") for n in range(200)))
        told = fake.application().describe().tokens
        assert [token.service for token in told] == [f"host:{n}" for n in range(128)]
