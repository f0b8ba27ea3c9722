"""What is wrong with a YAML file is told with its place, all of it at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from knit import ApplicationSpec
from knit._values.documents import read_file as read_yaml
from knit._values.problems import MOST_PROBLEMS
from knit.exceptions import FileMissingError, SpecError

WELL = "name: a\nservices:\n  w: {command: ls}\n"


def found_in(path: Path, text: str | bytes) -> list[str]:
    """What is wrong with a text, each as `line:column where: what`."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    spec, problems = read_yaml(ApplicationSpec, path)
    assert (spec is None) is bool(problems)
    return [f"{p.line}:{p.column} {p}" for p in problems]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["1:1 it is empty"]),
        ("# nothing\n", ["1:1 it is empty"]),
        ("name: a\nservices:\n\tw: {}\n", ["3:1 a tab stands here: YAML is indented by spaces"]),
        ("name: [1\nb: 2\n", ["2:2 it is not valid YAML: expected ',' or ']', but got ':'"]),
        ("name: a\n---\nname: b\n", ["2:1 it is not valid YAML: but found another document"]),
        ("name: \x01\n", ["1:7 it holds a control character"]),
        ("name: *b\n", ["1:7 it is not valid YAML: found undefined alias 'b'"]),
        ("- a\n", ["1:1 here is a list; a mapping of names to values belongs here."]),
        ("just text\n", ["1:1 here is 'just text'; a mapping"]),
        (WELL + "name: b\n", ["4:1 the key 'name' is given twice, first in line 1."]),
        (
            "name: a\nservices:\n  w: {command: ls}\n  w: {command: ls}\n",
            ["4:3 the key 'w' is given twice, first in line 3."],
        ),
        (
            "name: a\n",
            ["1:1 services: There is no service: an application has one at least, or a driver."],
        ),
        (
            "name: a\nservice:\n  w: {command: ls}\n",
            ["2:1 'service' is not known here: did you mean 'services'?"],
        ),
        (
            "name: a\nservices:\n  w:\n    comand: ls\n",
            ["4:5 services.w: 'comand' is not known here: did you mean 'command'?"],
        ),
        (WELL + "colour: red\n", ["4:1 'colour' is not known here: known are name, services"]),
        ("name: a\nservices: {}\n", ["2:1 services: There is no service"]),
        ("name: a\nservices:\n", ["2:1 services"]),
        ("name: 5\nservices:\n  w: {command: ls}\n", ["1:1 name: 5 is not text."]),
        (
            "name: a\nservices:\n  W_: {command: ls, instances: -1}\n",
            [
                "3:3 services.W_: The service name 'W_'",
                "3:21 services.W_.instances: instances is -1",
            ],
        ),
        (
            "name: a\nservices:\n  w:\n    command: ls\n    environment: {A: 5}\n",
            ["5:5 services.w.environment: The environment variable A is given as int"],
        ),
        (
            "name: a\nservices:\n  w:\n    command: ls\n    files:\n      - b\n      - 3\n",
            ["7:9 services.w.files[1]: The file 3"],
        ),
        (WELL + "linger: long\n", ["4:1 linger: 'long' is no duration"]),
        (WELL + "master_ports: 9-1\n", ["4:1 master_ports: master_ports is '9-1'"]),
        (
            "nme: a\nservices:\n  w:\n    instances: many\n    resources:\n      memory: much\n"
            "      vcores: 0\n    max_restarts: -1\nqueue: ''\n",
            [
                "1:1 'nme' is not known here: did you mean 'name'?",
                "3:3 services.w.command: this is missing",
                "4:5 services.w.instances: 'many' is not a whole number.",
                "6:7 services.w.resources.memory: The memory 'much' is no amount",
                "7:7 services.w.resources.vcores: vcores is 0",
                "8:5 services.w.max_restarts: max_restarts is -1",
                "9:1 queue: The queue is empty.",
            ],
        ),
        (b"name: \xff\n", []),
    ],
)
def test_each_mistake_is_told_with_its_line_and_column(
    tmp_path: Path, text: str | bytes, expected: list[str]
) -> None:
    path = tmp_path / "app.yaml"
    if not expected:
        with pytest.raises(SpecError, match=r"app\.yaml cannot be read: it is not UTF-8 at byte 6"):
            found_in(path, text)
        return
    found = found_in(path, text)
    assert len(found) == len(expected), found
    for line, beginning in zip(found, expected, strict=True):
        assert line.startswith(beginning)


def test_an_error_names_the_file_and_all_that_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "app.yaml"
    path.write_text("nme: a\nservice: {}\n")
    with pytest.raises(SpecError) as caught:
        ApplicationSpec.from_yaml(path)
    assert str(caught.value).splitlines() == [
        f"{path} has 2 faults:",
        "  line 1, column 1: 'nme' is not known here: did you mean 'name'?",
        "  line 2, column 1: 'service' is not known here: did you mean 'services'?",
    ]


def test_a_single_mistake_keeps_its_kind_and_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "app.yaml"
    path.write_text(WELL + "queue: ''\n")
    with pytest.raises(SpecError) as caught:
        ApplicationSpec.from_yaml(path)
    assert str(caught.value) == f"{path}: line 4, column 1: queue: The queue is empty."


def test_values_of_variables_are_in_no_message(tmp_path: Path) -> None:
    document = "name: a\nservices:\n  w:\n    command: ls\n    environment: hunter2hunter2\n"
    assert "hunter2" not in "".join(found_in(tmp_path / "app.yaml", document))
    document = "name: a\nservices:\n  w: [{environment: {A: hunter2}}]\n"
    assert "hunter2" not in "".join(found_in(tmp_path / "app.yaml", document))


def test_so_many_mistakes_are_listed_and_no_more(tmp_path: Path) -> None:
    path = tmp_path / "app.yaml"
    path.write_text(WELL + "".join(f"x{n}: 1\n" for n in range(MOST_PROBLEMS + 7)))
    with pytest.raises(SpecError) as caught:
        ApplicationSpec.from_yaml(path)
    lines = str(caught.value).splitlines()
    assert len(lines) == MOST_PROBLEMS + 2
    assert lines[-1] == "  and 7 more"


def test_a_file_without_an_end_is_not_read_to_it() -> None:
    with pytest.raises(SpecError, match="larger than 4 MiB"):
        ApplicationSpec.from_yaml("/dev/zero")


def test_one_that_is_nested_without_end_is_refused(tmp_path: Path) -> None:
    assert found_in(tmp_path / "app.yaml", "[" * 100_000) == ["None:None it is nested too deeply."]


def test_one_that_refers_to_itself_is_refused(tmp_path: Path) -> None:
    assert found_in(tmp_path / "app.yaml", "name: &a [*a]\nservices: {w: {command: ls}}\n") == [
        "1:1 name: a list is not text."
    ]


def test_what_is_not_there_or_no_file_is_told_by_name(tmp_path: Path) -> None:
    with pytest.raises(FileMissingError, match=r"nowhere\.yaml does not exist"):
        ApplicationSpec.from_yaml(tmp_path / "nowhere.yaml")
    with pytest.raises(SpecError, match=f"{tmp_path} cannot be read: Is a directory"):
        ApplicationSpec.from_yaml(tmp_path)
