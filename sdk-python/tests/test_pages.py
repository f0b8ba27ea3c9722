"""Pages about the SDK name what there is, all of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from knit import exceptions
from knit._values.variables import OWN_VARIABLES
from knit._wire.statuses import _BY_STATUS

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def errors() -> str:
    page = DOCS / "errors.md"
    if not page.is_file():
        pytest.skip("the documents are not beside the tests: this is a source distribution")
    return page.read_text(encoding="utf-8")


def test_every_exception_has_its_place_on_the_page(errors: str) -> None:
    named = set(re.findall(r"`([A-Z]\w+)`", errors))
    assert set(exceptions.__all__) - named == set()


def test_the_page_names_no_exception_that_there_is_not(errors: str) -> None:
    tree = errors[errors.index("## The tree") : errors.index("## Statuses")]
    rows = [line.split("|") for line in tree.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row[1])}
    assert len(named) > 30
    assert named <= set(exceptions.__all__)


def test_what_is_also_of_a_kind_of_pythons_is_so(errors: str) -> None:
    import builtins

    pairs = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| ((?:`\w+`(?:, )?)+) \|", errors, re.M)
    assert len(pairs) > 10
    for names, kinds in pairs:
        for name, kind in zip(re.findall(r"\w+", names), re.findall(r"\w+", kinds), strict=True):
            if name in exceptions.__all__ and hasattr(builtins, kind):
                assert issubclass(getattr(exceptions, name), getattr(builtins, kind)), name


def test_every_status_that_an_application_master_answers_with_is_in_the_table(errors: str) -> None:
    table = errors[errors.index("## Statuses of the contract") :]
    rows = [line.split("|")[1:3] for line in table.splitlines() if line.startswith("| `")]
    classes = {
        status: re.findall(r"`(\w+)`", names)
        for statuses, names in rows
        for status in re.findall(r"`(\w+)`", statuses)
    }
    # The others are gRPC's own, or those of the connection.
    assert {*_BY_STATUS} - {*classes} == {
        "ABORTED", "CANCELLED", "DATA_LOSS", "UNIMPLEMENTED", "UNKNOWN",
    }  # fmt: skip
    for status, names in classes.items():
        assert names[0] == _BY_STATUS[status].__name__, status


def test_every_variable_of_a_container_is_in_the_table() -> None:
    page = DOCS / "containers.md"
    if not page.is_file():
        pytest.skip("the documents are not beside the tests: this is a source distribution")
    rows = re.findall(r"^\| `(KNIT_\w+)` \| .+ \|$", page.read_text("utf-8"), re.M)
    # The script of the launch itself, which no program sees.
    assert sorted(rows) == sorted(OWN_VARIABLES - {"KNIT_LAUNCH"})


def test_every_limit_stands_where_the_page_says() -> None:
    page = DOCS / "limits.md"
    if not page.is_file():
        pytest.skip("the documents are not beside the tests: this is a source distribution")
    repository = DOCS.parent
    folders = ("proto/knit/v1", "sdk-python/src/knit", "am-kotlin/src/main/kotlin/knit")
    rows = re.findall(r"\| `([\w/]+\.\w+): ([^`]+)` \|$", page.read_text("utf-8"), re.M)
    assert len(rows) > 20
    for file, what in rows:
        found = [
            path
            for folder in folders
            for path in (repository / folder).rglob(Path(file).name)
            if path.as_posix().endswith(f"/{file}")
        ]
        assert any(what in path.read_text("utf-8") for path in found), f"{file}: {what}"
