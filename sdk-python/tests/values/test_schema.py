"""The JSON Schema says what the reader says, as far as a schema can."""

from __future__ import annotations

import copy
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import yaml
from hypothesis import given, settings

import knit
from knit import ApplicationSpec, SpecError
from knit._values.enums import OpenEnum
from knit._values.schema import docstrings, schema_of
from tests.values.strategies import SPECS

jsonschema = pytest.importorskip("jsonschema")

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
BLOCK = re.compile(r"^```yaml\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SCHEMA = schema_of(ApplicationSpec)
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

# Every key there is, each with something that differs from its default.
WHOLE: dict[str, Any] = {
    "name": "whole",
    "services": {
        "first": {
            "command": "sleep 1",
            "instances": 2,
            "resources": {"memory": "1.5 GiB", "vcores": 2, "others": {"yarn.io/gpu": 1}},
            "files": ["a.txt", {"source": "b.tgz", "name": "b", "archive": True}],
            "environment": {"A": "1"},
            "python_environment": "running",
            "restart_budgets": [
                {
                    "limit": None,
                    "reasons": ["preempted", "NODE-LOST"],
                    "scope": "service",
                    "window": "1h30m",
                }
            ],
            "back_off": {"first": 1, "factor": 1.5, "most": "1 min", "reset_after": "2 min"},
            "failure_policy": "ignore",
            "placement": {
                "nodes": ["n1"],
                "racks": ["/r1"],
                "strict": True,
                "spread": "anti_affinity",
            },
            "readiness": {"reported": True, "min_ready": 2, "limit": "5 min"},
            "liveness": {
                "http": {"port": 80, "path": "/x"},
                "delay": 1,
                "period": 2,
                "timeout": 3,
                "failures": 4,
                "successes": 5,
            },
            "stop_grace": "10 s",
            "starts_together": True,
            "allocation_limit": "1 h",
            "allocation_policy": "go_on",
            "update_policy": {
                "max_surge": 2,
                "max_unavailable": 1,
                "failures": 2,
                "ready_limit": "1 min",
                "failure_policy": "pause",
            },
            "access": "operator",
            "resource_manager_token": True,
            "scale_down_order": "oldest_first",
        },
        "Second_1.x": {
            "command": "true",
            "files": {"c": "hdfs:///c", "d": {"source": "d", "visibility": "application"}},
            "depends": {"first": "started"},
            "max_restarts": 1,
            "max_replacements": 2,
            "placement": {"node_label": "gpu"},
            "readiness": {"probe": {"tcp_port": 7000}},
        },
        "third": {
            "command": "true",
            "depends": ["first"],
            "readiness": {"probe": {"command": "x"}},
        },
    },
    "queue": "q",
    "priority": 3,
    "tags": ["a"],
    "type": "t",
    "user": "ada",
    "lifetime": "7 d",
    "node_label": "x",
    "max_attempts": 2,
    "attempt_failures_validity": "1 h",
    "attempt_policy": "failures",
    "access_control": {
        "view_users": ["*"],
        "view_groups": ["g"],
        "modify_users": ["u"],
        "modify_groups": ["h"],
    },
    "application_master": {"memory": 1024, "vcores": 2},
    "master_environment": {"JAVA_HOME": "/j"},
    "master_node_label": "y",
    "master_log_level": "debug",
    "master_ports": "1-2",
    "linger": 30,
    "annotations": {"k": "v", "b": {"base64": "AAE="}},
    "driver": {
        "command": "main",
        "files": ["m.py"],
        "environment": {"M": "1"},
        "python_environment": "/env",
        "access": "operator",
        "resource_manager_token": True,
    },
    "client_grants": [{"certificate": "c.pem", "role": "viewer"}],
    "file_systems": ["hdfs://a", {"url": "hdfs://b:8020/", "without_renewer": True}],
    "keytab": "alice.keytab",
    "principal": "alice@EXAMPLE.COM",
}
WRONG: list[Any] = [
    None, True, -1, 0, 7, 70_000, 2**40, 2**70, 0.5, 1e12, "", " ", "x", "a b", "a,b", "A/b", "a:b",
    "/r", "0 MiB", "1 XB", "12", "1 hour", "90-80", "gpu*", "ready", "Owner", "container",
    "x" * 300, [], ["x"], [1], ["a b"], ["x"] * 1_001, {}, {"x": "y"}, {"a b": "c"}, {"x": 1},
    {"limit": 1}, {"base64": "?"}, {"KNIT_RANK": "1"}, {"memory": 1},
]  # fmt: skip
# What several fields, or parts of a text, say together, and no schema.
BEYOND = (
    "is given beside", "is given without", "exactly one", "both", "there is no service",
    "in a circle", "no limit after which", "is charged to the first", "longer than the longest",
    "is empty: name one", "There is no service", "is not before", "1 to 65535", "would be",
    "would both be", "ends in none of", "cannot be PUBLIC", "timedelta", "is not one: it is",
    "wait for one another", "YARN counts no further", "is not a path",
    "knows how to unpack", "would drop", "neither spaces nor commas", "is YARN's own",
    "holds a colon", "with a window", ".0 is no amount", "file system takes",
)  # fmt: skip


def read(document: Any) -> str | None:
    """What the reader has against a document; None if nothing."""
    try:
        ApplicationSpec.from_dict(document)
    except SpecError as error:
        return str(error)
    return None


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where in a document something stands."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in pairs:
        yield (*path, key)
        if isinstance(inner, (dict, list)):
            yield from places(inner, (*path, key))


def changed(path: tuple[Any, ...], value: Any) -> Any:
    """A document with another value at one place, and little beside what stands there."""
    document: dict[str, Any] = {"name": "a", "services": {"w": {"command": "c"}}}
    if path[:1] == ("services",) and len(path) > 2 and path[2] != "depends":
        rest = {k: v for k, v in WHOLE["services"][path[1]].items() if k != "depends"}
        document["services"] = {path[1]: rest}
    elif path[0] in WHOLE:
        document[path[0]] = WHOLE[path[0]]
    document = copy.deepcopy(document)
    inner: Any = document
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return document


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_whole_of_it_is_taken_by_both() -> None:
    assert read(WHOLE) is None
    assert list(VALIDATOR.iter_errors(WHOLE)) == []


def test_the_whole_of_it_has_every_key() -> None:
    """So that a new field cannot be forgotten here."""
    used: dict[str, set[str]] = {}

    def walk(schema: dict[str, Any], value: Any, name: str) -> None:
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            schema = SCHEMA["$defs"][name]
        for option in schema.get("anyOf", ()):
            walk(option, value, f"{name}, inline")
        if isinstance(value, dict) and "properties" in schema:
            used.setdefault(name, set()).update(value)
            for key, inner in value.items():
                walk(schema["properties"].get(key, {}), inner, name)
        elif isinstance(value, dict) and isinstance(schema.get("additionalProperties"), dict):
            for inner in value.values():
                walk(schema["additionalProperties"], inner, name)
        elif isinstance(value, list) and "items" in schema:
            for inner in value:
                walk(schema["items"], inner, name)

    walk(SCHEMA, WHOLE, "")
    for name, definition in {"": SCHEMA, **SCHEMA["$defs"]}.items():
        assert {*definition.get("properties", {})} == used.get(name, set()), name


@pytest.mark.one_python("hundreds of documents; on each Python the examples are read")
@pytest.mark.parametrize("path", list(places(WHOLE)), ids=lambda p: ".".join(map(str, p)))
def test_what_the_schema_refuses_the_reader_refuses_and_the_other_way_round(
    path: tuple[Any, ...],
) -> None:
    for value in WRONG:
        document = changed(path, value)
        said = read(document)
        if VALIDATOR.is_valid(document) == (said is None):
            continue
        refused = [error.message for error in VALIDATOR.iter_errors(document)]
        assert said is not None, (path, value, refused)
        assert any(words in said for words in BEYOND), (path, value, said)


def objects(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where mappings stand whose keys are names of fields."""
    free = {"services", "files", "environment", "master_environment", "annotations", "others",
            "depends"}  # fmt: skip
    for each in [(), *places(value, path)]:
        inner = value
        for key in each:
            inner = inner[key]
        if isinstance(inner, dict) and not (each and each[-1] in free):
            yield each


@pytest.mark.parametrize("path", list(objects(WHOLE)), ids=lambda p: ".".join(map(str, p)))
def test_an_unknown_key_is_refused_by_both(path: tuple[Any, ...]) -> None:
    document = changed((*path, "x-unknown"), 1)
    assert read(document) is not None
    assert not VALIDATOR.is_valid(document)


@pytest.mark.parametrize("path", list(objects(WHOLE)), ids=lambda p: ".".join(map(str, p)))
def test_a_mistyped_key_is_refused_with_the_one_that_was_meant(path: tuple[Any, ...]) -> None:
    inner = WHOLE
    for step in path:
        inner = inner[step]
    for key in inner:
        mistyped = f"{key[:-1]}{key[-1]}{key[-1]}"
        said = read(changed((*path, mistyped), inner[key]))
        assert said is not None, mistyped
        meant = f"'{mistyped}' is not known here: did you mean '{key}'?"
        assert meant in said or f"has one key, {key}, " in said


@pytest.mark.one_python("hundreds of documents; on each Python the examples are read")
@settings(max_examples=30)
@given(SPECS)
def test_what_is_written_fits_the_schema(spec: ApplicationSpec) -> None:
    errors = [error.message for error in VALIDATOR.iter_errors(spec.to_dict())]
    assert not errors


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_fits_it(path: Path) -> None:
    VALIDATOR.validate(yaml.safe_load(path.read_text(encoding="utf-8")))


def test_every_example_in_the_documents_fits_it() -> None:
    pages = sorted((ROOT / "docs").glob("*.md"))
    if not pages:
        pytest.skip("no documentation beside these tests")
    blocks = [b for page in pages for b in BLOCK.findall(page.read_text(encoding="utf-8"))]
    blocks = [block for block in blocks if re.search(r"^services:", block, re.MULTILINE)]
    assert len(blocks) > 8
    for block in blocks:
        VALIDATOR.validate(yaml.safe_load(block))


def test_everything_in_it_is_described() -> None:
    for name, definition in {"": SCHEMA, **SCHEMA["$defs"]}.items():
        assert definition["description"], name
        for key, schema in definition.get("properties", {}).items():
            assert schema.get("description"), f"{name}.{key}"


def test_every_member_of_an_enumeration_is_explained() -> None:
    for name in SCHEMA["$defs"]:
        kind = getattr(knit, name)
        if issubclass(kind, OpenEnum):
            for member in kind:
                assert docstrings(kind).get(member.name), f"{name}.{member.name}"
        else:
            assert attrs.has(kind)


def test_it_can_be_had_from_the_command_line(capfd: pytest.CaptureFixture[str]) -> None:
    from knit.cli import main

    assert main(["schema"]) == 0
    assert json.loads(capfd.readouterr().out) == json.loads(json.dumps(SCHEMA))


@pytest.mark.skipif(sys.flags.optimize > 1, reason="without docstrings there are none")
def test_descriptions_are_the_docstrings() -> None:
    assert SCHEMA["properties"]["queue"]["description"] == (
        "Where the scheduler counts the application."
    )
