"""The list of kinds names every module, and no module that there is not."""

from __future__ import annotations

from integration.kinds import HERE, KINDS, PLAIN, kinds_of

MODULES = sorted([*HERE.glob("test_*.py"), *HERE.glob("*/test_*.py")])


def test_every_module_runs_on_some_cluster() -> None:
    assert [module for module in MODULES if not kinds_of(module)] == []
    assert [name for name, kind in KINDS.items() if name != PLAIN and not kind.modules] == []


def test_every_pattern_finds_a_module() -> None:
    for kind in KINDS.values():
        for pattern in kind.modules:
            assert list(HERE.glob(pattern)), pattern
