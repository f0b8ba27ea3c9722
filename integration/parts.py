"""
A pytest plugin: which tests run beside others, which alone, and which on several machines.

``--part=shared`` are those that several workers may run at once on one cluster; ``--part=alone``
the rest, one after the other. ``python -m integration`` runs the one and then the other.
"""

from __future__ import annotations

import enum

import pytest

from integration.kinds import KINDS, PLAIN, kinds_of, place_of

MARKERS = (
    "alone(reason): runs beside no other test: it floods the machine or takes nodes away",
    "own_cluster(reason): asks for a cluster with other settings, while no other is up",
    "topology(reason): several machines can change its outcome, so the dockerized cluster runs it",
    "one_machine(reason): within a module marked topology: one machine shows all there is",
)


# Workers take files in this order, so that none begins its longest when the others are done.
LONGEST_FIRST = (
    "test_environments",
    "test_aggregated_logs",
    "test_jvm_client",
    "test_jvm_refusals",
    "test_jvm_interop",
    "test_cli",
    "test_examples",
    "test_files",
    "test_lifecycle",
    "test_cluster_calls",
    "test_failures",
    "test_logs",
)


class Part(enum.Enum):
    """A part of the suite."""

    SHARED = "shared"
    ALONE = "alone"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("knit")
    group.addoption(
        "--part",
        type=Part,
        metavar="|".join(part.value for part in Part),
        help="run a part of the suite only: what may run beside others, or what may not",
    )
    group.addoption(
        "--whole",
        action="store_true",
        help="run every test on the dockerized cluster too, not just those marked topology",
    )
    group.addoption(
        "--kind",
        choices=list(KINDS),
        default=PLAIN,
        help="which embedded cluster to run on, and with it which modules (%(default)s)",
    )


def pytest_configure(config: pytest.Config) -> None:
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)


def part_of(item: pytest.Item) -> Part:
    """Where a test belongs."""
    marks = {mark.name for mark in item.iter_markers()}
    return Part.ALONE if marks & {"alone", "own_cluster"} else Part.SHARED


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    part = config.option.part
    keep = [item for item in items if part in (None, part_of(item)) and _fits(config, item)]
    others = {kind for item in items for kind in kinds_of(item.path)} - {config.option.kind}
    if not keep and others and config.option.cluster == "embedded":
        raise pytest.UsageError(
            f"These run on clusters of kind {', '.join(sorted(others))}: --kind"
        )
    if len(keep) < len(items):
        kept = set(keep)
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = sorted(keep, key=lambda item: _rank(item, config.option.kind))


def _rank(item: pytest.Item, kind: str) -> tuple[bool, int, int]:
    # Clusters of their own come and go before the one that all others use is started.
    shares = item.get_closest_marker("own_cluster") is None
    name = item.path.stem
    length = LONGEST_FIRST.index(name) if name in LONGEST_FIRST else len(LONGEST_FIRST)
    return shares, place_of(item.path, kind), length


def _fits(config: pytest.Config, item: pytest.Item) -> bool:
    own_cluster = item.get_closest_marker("own_cluster") is not None
    if config.option.kind not in kinds_of(item.path):
        return False
    if KINDS[config.option.kind].is_docker:
        return bool(config.option.cluster == "docker")
    if config.option.cluster == "embedded":
        return True
    if config.option.cluster == "external" or config.option.whole:
        return not own_cluster
    topology, one_machine = map(item.get_closest_marker, ("topology", "one_machine"))
    return topology is not None and one_machine is None and not own_cluster
