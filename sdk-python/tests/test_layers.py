"""
The rooms of the SDK, and which may know which: arrows lead one way, and there is no circle.

An import counts wherever it stands: within a function, where it only comes later, and under
TYPE_CHECKING, where a type's home is still what the reader has to know.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import knit

ROOT = Path(knit.__file__).parent

VALUES = {"exceptions", "v1", "_values"}
CLUSTER = VALUES | {"_cluster"}
BELOW_HANDLES = CLUSTER | {"_wire", "_environments", "_staging", "_submission"}
BELOW_FACES = BELOW_HANDLES | {"_handles"}
MAY_KNOW = {
    "exceptions": set(),
    "v1": set(),
    "_values": VALUES,
    # What is spoken to an Application Master, to a cluster, and about this machine's Pythons:
    # none of them knows another.
    "_wire": VALUES,
    "_cluster": VALUES,
    "_environments": VALUES,
    "_staging": CLUSTER,
    "_submission": BELOW_HANDLES - {"_submission"},
    "_handles": BELOW_HANDLES,
    "_knit": BELOW_FACES,
    "testing": BELOW_FACES - {"_environments", "_staging", "_submission"},
    "core": {"_knit"},
    # What users compose transactions of is a page of values.
    "kv": VALUES,
    "": BELOW_FACES | {"_knit"},
    "cli": BELOW_HANDLES | {"", "kv"},
}
# An error says which report it was made of, and the report makes it. A protocol in between would
# take the report's class from users' type checkers.
TYPES_OF_EACH_OTHER = {("exceptions", "knit._values.reports")}
PUBLIC = {"cli", "core", "exceptions", "kv", "testing", "v1"}


def faults(root: Path) -> Iterator[str]:
    """What breaks the rules in the package at this directory, each with its place."""
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        room = "" if parts == ("__init__",) else parts[0]
        private = [part for part in parts if part.startswith("_") and not part.endswith("__")]
        if parts[0] == "v1":
            continue
        if room not in MAY_KNOW:
            yield f"{path}:1: {room} is no room; add it to MAY_KNOW"
            continue
        if len(private) > 1 or not (private or {*parts} <= {*PUBLIC, "__init__", "__main__"}):
            yield f"{path}:1: a package wears the underscore, the modules in it do not"
        for line, module in imports(path):
            other = module.split(".")[1] if "." in module else ""
            if other not in {*MAY_KNOW[room], room} and (room, module) not in TYPES_OF_EACH_OTHER:
                yield f"{path}:{line}: {room or 'knit'} may not know {module}"


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """The modules of knit that a file imports, with the lines; `from knit import _x` names two."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno}: say in full what is imported"
            of_knit = [f"knit.{a.name}" for a in node.names if a.name in MAY_KNOW]
            names = (of_knit if node.module == "knit" else None) or [node.module or ""]
        yield from ((node.lineno, n) for n in names if n.split(".")[0] == "knit")  # type: ignore[attr-defined]


def test_each_room_knows_only_what_lies_below_it() -> None:
    found = list(faults(ROOT))
    assert not found, "\n".join(found)


def test_the_rooms_form_no_circle() -> None:
    """A room may know only rooms that this table names before it."""
    rooms = list(MAY_KNOW)
    for number, room in enumerate(rooms):
        assert MAY_KNOW[room] - {room} <= {*rooms[:number]}, room


@pytest.mark.parametrize(
    ("file", "source", "expected"),
    [
        ("_values/a.py", "from knit._wire.calls import Call", "1: _values may not know knit._wire"),
        ("_wire/a.py", "\nimport knit._cluster.cluster", "2: _wire may not know knit._cluster"),
        ("_cluster/a.py", "from knit import _environments", "may not know knit._environments"),
        ("_handles/a.py", "def f():\n    from knit import Client", "2: _handles may not know knit"),
        ("_staging/a.py", "if T:\n    from knit._handles.yarn import Y", "_staging may not know"),
        ("testing/_a.py", "from knit._knit.knit import Knit", "testing may not know knit._knit"),
        ("_knit/a.py", "from knit.cli import main", "_knit may not know knit.cli"),
        ("exceptions.py", "from knit._values.states import A", "exceptions may not know knit"),
        ("_wire/_a.py", "", "1: a package wears the underscore"),
        ("cli/a.py", "", "1: a package wears the underscore"),
        ("_new/a.py", "", "_new is no room"),
        ("cli/_verbs/a.py", "import knit\nfrom knit._values.ports import to_ports", None),
        ("testing/_a.py", "from knit._handles.container import Container", None),
        ("exceptions.py", "from knit._values.reports import ApplicationReport", None),
    ],
)
def test_a_wrong_import_is_told_with_its_place(
    tmp_path: Path, file: str, source: str, expected: str | None
) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source)
    found = list(faults(tmp_path))
    assert len(found) == (expected is not None)
    assert expected is None or (found[0].startswith(f"{path}:") and expected in found[0])
