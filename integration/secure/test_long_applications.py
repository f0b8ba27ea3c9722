"""
Applications that outlive their delegation tokens, one with a keytab and one without.

Both run beside each other, and every test looks at another side of them. Meanwhile the keys of the
tokens by which Application Masters, nodes and containers prove themselves roll several times.
"""

from __future__ import annotations

import knit
import pytest
from knit import FinalStatus

from integration.clusters.embedded import EmbeddedCluster
from integration.hdfs import Hdfs
from integration.kinds import LIFETIMES
from integration.secure.long import PATIENCE, Both, submitter
from integration.waiting import wait_until

TOKEN_SECONDS = LIFETIMES.token or 0
TWO_INTERVALS = 2 * (LIFETIMES.renewal or 0)

pytestmark = pytest.mark.timeout(600)


def test_a_container_that_comes_later_holds_a_token_that_is_renewed(both: Both) -> None:
    """Fetched with the keytab, and good for more than two renewals."""
    both.with_keytab.wait_for(1, "ok", TWO_INTERVALS)
    # Later it ends at its own maximum: nobody replaces what a running container holds.
    told = both.with_keytab.told(1)
    assert {word for second, word in told if second <= TWO_INTERVALS} == {"ok"}


def test_without_a_keytab_a_container_starts_and_its_own_token_has_ended(both: Both) -> None:
    """The ResourceManager has fetched another one for YARN's own share."""
    both.without.wait_for(1, "refused")
    assert {word for _, word in both.without.told(1)} == {"refused"}


def test_it_is_told_which_tokens_are_replaced(both: Both) -> None:
    told = [
        {token.kind: token.is_replaced for token in each.app.describe().tokens}
        for each in (both.with_keytab, both.without)
    ]
    kinds = ("HDFS_DELEGATION_TOKEN", "RM_DELEGATION_TOKEN", "kms-dt")
    assert told == [dict.fromkeys(kinds, True), dict.fromkeys(kinds, False)]


def test_from_within_others_are_submitted_beyond_the_tokens_of_the_submission(
    both: Both, cluster: EmbeddedCluster, client: knit.Client
) -> None:
    """By a container that comes later, and by a driver that was there from the beginning."""
    long = both.with_keytab
    long.app.add_services({"submitter": submitter(cluster, long.others)})
    long.others.joinpath("go").touch()
    for name in ("submitter", "driver"):
        wait_until(
            lambda name=name: len(long.submitted(name)) == 2,  # type: ignore[misc]
            what=f"the {name} has not submitted two applications",
            timeout=PATIENCE,
            evidence=lambda name=name: str(long.submitted(name)),  # type: ignore[misc]
        )
        found = long.submitted(name)
        assert [status for _, status in found] == ["SUCCEEDED"] * 2
        assert len({application_id for application_id, _ in found}) == 2
    told = [token for token in long.app.describe().tokens if token.expire_time is not None]
    assert {token.renewer for token in told} == {"rm"}
    kinds = {"HDFS_DELEGATION_TOKEN", "RM_DELEGATION_TOKEN", "kms-dt"}
    assert {token.kind for token in told} == kinds


def test_application_masters_outlive_several_maximum_lifetimes(both: Both, hdfs: Hdfs) -> None:
    """And the rolls of all keys: they add, stop and end, and what they leave is collected."""
    with_keytab, without = both.with_keytab, both.without
    with_keytab.wait_for(0, "refused", 2 * TOKEN_SECONDS)
    (added,) = with_keytab.app.add_containers(1)
    with_keytab.wait_for(added.rank, "ok")
    assert with_keytab.app.application_id in hdfs.staged_applications()
    for each in (with_keytab, without):
        each.app.stop(final_status=FinalStatus.SUCCEEDED)
        each.app.release()
        assert each.app.wait(timeout=PATIENCE).final_status is FinalStatus.SUCCEEDED
        logs = each.app.aggregated_logs(wait=PATIENCE)
        assert logs.is_complete, logs.incomplete_reason
        collected = {
            container.rank: container.read("stdout").decode().splitlines()
            for container in logs.containers.values()
            if container.service == "worker"
        }
        assert set(map(str, collected)) == {path.name for path in each.notes.iterdir()}
        assert all(collected.values())
    # With fresh tokens the Application Master has cleared up behind itself.
    assert with_keytab.app.application_id not in hdfs.staged_applications()
