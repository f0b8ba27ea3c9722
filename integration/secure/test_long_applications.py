"""
Applications that outlive their delegation tokens, one with a keytab and one without.

Both run beside each other, and every test looks at another side of them. Meanwhile the keys of the
tokens by which Application Masters, nodes and containers prove themselves roll several times.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import attrs
import knit
import pytest
from knit import FinalStatus

from integration.clusters.embedded import EmbeddedCluster
from integration.hdfs import Hdfs
from integration.kinds import LIFETIMES
from integration.waiting import wait_until

PROGRAM = Path(__file__).parent / "programs" / "look.py"
PATIENCE = timedelta(minutes=4)

TOKEN_SECONDS = LIFETIMES.token or 0
TWO_INTERVALS = 2 * (LIFETIMES.renewal or 0)

pytestmark = pytest.mark.timeout(600)


@attrs.frozen
class Long:
    """An application whose containers look at HDFS all the time."""

    app: knit.Application
    notes: Path

    def told(self, rank: int) -> list[tuple[int, str]]:
        """What the container at this rank has noted: seconds since its start, and a word."""
        path = self.notes / str(rank)
        lines = path.read_text().splitlines() if path.exists() else []
        return [(int(second), word) for second, word in map(str.split, lines)]

    def wait_for(self, rank: int, word: str, seconds: int = 0) -> None:
        """Wait until it has noted this word so late."""
        wait_until(
            lambda: any(found == word and at >= seconds for at, found in self.told(rank)),
            what=f"{self.app.application_id}/{rank} does not say {word!r} after {seconds} s",
            timeout=PATIENCE,
            evidence=lambda: str(self.told(rank)[-20:]),
        )


@attrs.frozen
class Both:
    """The two of them, past the maximum lifetime of the tokens that came with them."""

    with_keytab: Long
    without: Long


@pytest.fixture(scope="module")
def both(
    cluster: EmbeddedCluster, client: knit.Client, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Both]:
    keytab = str(cluster.keytab(cluster.user))
    made = [
        _submit(cluster, client, tmp_path_factory.mktemp(name), **fields)
        for name, fields in (("with", {"keytab": keytab}), ("without", {}))
    ]
    both = Both(*made)
    with both.with_keytab.app, both.without.app:
        for each in made:
            each.wait_for(0, "ok")
        for each in made:
            # Renewed until then, and by nobody after that.
            each.wait_for(0, "refused")
            assert each.told(0)[-1][0] > TOKEN_SECONDS / 2
            each.app.add_containers(1)
        yield both


def _submit(cluster: EmbeddedCluster, client: knit.Client, notes: Path, **fields: str) -> Long:
    words = [sys.executable, PROGRAM.name, cluster.name_node_url, str(cluster.ca_file), str(notes)]
    service = knit.Service(
        shlex.join(words),
        files=[PROGRAM],
        environment={"PYTHONPATH": os.environ.get("PYTHONPATH", "")},
        resources=knit.Resources(memory="192 MiB"),
    )
    spec = knit.ApplicationSpec("long", {"worker": service}, **fields)  # type: ignore[arg-type]
    return Long(client.submit(spec), notes)


def test_a_container_that_comes_later_holds_a_token_that_is_renewed(both: Both) -> None:
    """Fetched with the keytab, and good for more than two renewals."""
    both.with_keytab.wait_for(1, "ok", TWO_INTERVALS)
    assert {word for _, word in both.with_keytab.told(1)} == {"ok"}


def test_without_a_keytab_a_container_starts_and_its_own_token_has_ended(both: Both) -> None:
    """The ResourceManager has fetched another one for YARN's own share."""
    both.without.wait_for(1, "refused")
    assert {word for _, word in both.without.told(1)} == {"refused"}


def test_it_is_told_which_tokens_are_replaced(both: Both) -> None:
    told = [
        {token.kind: token.is_replaced for token in each.app.describe().tokens}
        for each in (both.with_keytab, both.without)
    ]
    kinds = ("HDFS_DELEGATION_TOKEN", "RM_DELEGATION_TOKEN")
    assert told == [dict.fromkeys(kinds, True), dict.fromkeys(kinds, False)]


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
            if not container.is_application_master
        }
        assert set(map(str, collected)) == {path.name for path in each.notes.iterdir()}
        assert all(collected.values())
    # With fresh tokens the Application Master has cleared up behind itself.
    assert with_keytab.app.application_id not in hdfs.staged_applications()
