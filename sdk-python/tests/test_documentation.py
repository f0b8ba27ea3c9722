"""What docs/specification.md shows is what the SDK reads."""

from __future__ import annotations

import re
from pathlib import Path

import attrs
import pytest

import knit
from knit._values.documents import read_file as read_yaml
from knit._values.schema import schema_of

PAGE = Path(__file__).parents[2] / "docs" / "specification.md"
EXAMPLES = sorted((PAGE.parents[1] / "examples").glob("*.yaml"))
BLOCK = re.compile(r"^```yaml\n(.*?)^```$", re.DOTALL | re.MULTILINE)
# The page lies beside the repository's sources, not in what is built of them.
pytestmark = pytest.mark.skipif(not PAGE.is_file(), reason="no documentation beside these tests")


def blocks() -> list[str]:
    return BLOCK.findall(PAGE.read_text(encoding="utf-8")) if PAGE.is_file() else []


@pytest.mark.parametrize("block", blocks())
def test_every_example_is_a_specification(block: str, tmp_path: Path) -> None:
    path = tmp_path / "app.yaml"
    path.write_text(block, encoding="utf-8")
    spec, problems = read_yaml(knit.ApplicationSpec, path)
    assert not problems
    assert spec is not None
    path.write_text(spec.to_yaml(), encoding="utf-8")
    assert knit.ApplicationSpec.from_yaml(path) == spec


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_beside_it_is_one_and_is_well(
    path: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from knit.cli import main

    assert main(["validate", str(path)]) == 0, capfd.readouterr().err
    spec = knit.ApplicationSpec.from_file(path)
    for name, text in (("a.yaml", spec.to_yaml()), ("a.json", spec.to_json())):
        (tmp_path / name).write_text(text, encoding="utf-8")
        assert knit.ApplicationSpec.from_file(tmp_path / name) == spec


def test_every_key_is_on_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    kinds = (
        knit.ApplicationSpec,
        knit.Service,
        knit.File,
        knit.RestartBudget,
        knit.Placement,
        knit.Readiness,
        knit.Driver,
        knit.ClientGrant,
    )
    for kind in kinds:
        for field in attrs.fields(kind):
            assert f"\n| `{field.name}` |" in page, f"{kind.__name__}.{field.name} is not described"


def test_every_key_within_another_is_named_on_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for name, definition in schema_of(knit.ApplicationSpec)["$defs"].items():
        for key in definition.get("properties", {}):
            assert f"`{key}`" in page or f"`{key}:" in page, f"{name}.{key} is not described"


def test_what_it_shows_of_mistakes_is_what_is_said(tmp_path: Path) -> None:
    """The lines of `knit validate` on the page, made by a file with these mistakes."""
    path = tmp_path / "app.yaml"
    path.write_text(
        "name: a\nservice: {}\nservices:\n  worker:\n    command: ls\n    instances: 2\n\n"
        "    resources:\n      memory: much\n"
    )
    _, problems = read_yaml(knit.ApplicationSpec, path)
    assert len(problems) == 2
    page = PAGE.read_text(encoding="utf-8")
    for problem in problems:
        assert f"knit: app.yaml:{problem.line}:{problem.column}: {problem}" in page
