"""How much of a submission the ResourceManager can keep."""

from __future__ import annotations

from knit._cluster.yarn.submission import Submission
from knit._submission.facts import ClusterFacts
from knit.exceptions import SpecError

_RECOVERY = "yarn.resourcemanager.recovery.enabled"
_STORE = "yarn.resourcemanager.store.class"
_LIMIT = "yarn.resourcemanager.zk-max-znode-size.bytes"
_USUAL_LIMIT_BYTES = 1024 * 1024
_SMALL_BYTES = 256 * 1024
"""What is smaller fits into every store, and nobody is asked."""


def check_state_store(facts: ClusterFacts, submission: Submission) -> None:
    """
    Raises where the ResourceManager would refuse to keep what is handed in.

    One that keeps its applications in ZooKeeper writes each into one node there.

    Raises:
        SpecError: It is too large.
    """
    size = sum(map(len, submission.secrets.values()))
    size += sum(len(token.to_bytes()) for token in submission.tokens)
    if size < _SMALL_BYTES or (facts.configured(_RECOVERY) or "").strip().lower() != "true":
        return
    if not (facts.configured(_STORE) or "").strip().endswith("ZKRMStateStore"):
        return
    said = facts.configured(_LIMIT)
    most = int(said) if said and said.strip().isdigit() else _USUAL_LIMIT_BYTES
    if size > most:
        raise SpecError(
            f"The submission takes {size:,} bytes, and this cluster's ResourceManager keeps "
            f"{most:,} of one in ZooKeeper ({_LIMIT}). Put long commands and large values into "
            "files, and only the keys of one principal into a keytab."
        )
