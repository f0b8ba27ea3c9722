"""Documents as text: YAML and JSON, and where in them something stands."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import yaml

from knit._values.problems import Problem
from knit.exceptions import FileMissingError, SpecError

LARGEST_DOCUMENT_BYTES = 4 * 1024 * 1024
"""Several times what a submission carries; read no further, for the file may be a device."""
_EMPTY = "it is empty: write a name and services at least."


@attrs.frozen
class Text:
    """A document as it was read."""

    data: Any
    """Plain data. None if the text is none."""
    root: yaml.Node | None
    """Where each part of it stands."""
    problems: list[Problem]
    """What is wrong with the text itself."""


def read(path: Path) -> str:
    """
    The text of a file.

    Raises:
        FileMissingError: There is no such file.
        SpecError: It cannot be read, is too large, or is not UTF-8.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_DOCUMENT_BYTES + 1)
    except FileNotFoundError:
        raise FileMissingError(f"The specification {path} does not exist.") from None
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise SpecError(f"The specification {path} cannot be read: {why}.") from None
    if len(data) > LARGEST_DOCUMENT_BYTES:
        raise SpecError(f"The specification {path} is larger than 4 MiB, which none is.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SpecError(
            f"The specification {path} cannot be read: it is not UTF-8 at byte {error.start}."
        ) from None


def parse_yaml(text: str) -> Text:
    """Reads YAML."""
    try:
        root = yaml.compose(text, _Loader)
        problems = list(_doubles(root)) if root is not None else []
        data = yaml.load(text, _Loader)  # noqa: S506 - a subclass of SafeLoader
    except yaml.YAMLError as error:
        return Text(None, None, [_problem_of(error, text)])
    except RecursionError:
        return Text(None, None, [Problem("it is nested too deeply.")])
    except ValueError as error:  # a date of no calendar, a number of thousands of digits
        return Text(None, None, [Problem(f"it holds what is no value: {error}.")])
    if root is None or data is None:
        return Text(None, None, [Problem(_EMPTY, line=1, column=1)])
    return Text(data, root, problems)


def parse_json(text: str) -> Text:
    """Reads JSON."""
    if not text.strip():
        return Text(None, None, [Problem(_EMPTY, line=1, column=1)])
    try:
        data = json.loads(text)
        # JSON is YAML but for tabs between its parts; within texts they are escaped.
        root = yaml.compose(text.replace("\t", " "), _Loader)
        problems = list(_doubles(root)) if root is not None else []
    except json.JSONDecodeError as error:
        message = f"it is not valid JSON: {error.msg[:1].lower()}{error.msg[1:]}."
        return Text(None, None, [Problem(message, line=error.lineno, column=error.colno)])
    except RecursionError:
        return Text(None, None, [Problem("it is nested too deeply.")])
    except (yaml.YAMLError, ValueError):
        # No places then; what is wrong is told all the same.
        try:
            return Text(json.loads(text), None, [])
        except ValueError as error:
            return Text(None, None, [Problem(f"it holds what is no value: {error}.")])
    return Text(data, root, problems)


def to_yaml(data: Any) -> str:
    """Writes YAML."""
    text: str = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    return text


def to_json(data: Any) -> str:
    """Writes JSON."""
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


class _Dumper(yaml.SafeDumper):
    """YAML without its silent loss: what it would fold as an exotic line break is escaped."""


def _represent_text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = '"' if set(value) & set("\x85\u2028\u2029") else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style)


_Dumper.add_representer(str, _represent_text)


class _Loader(yaml.SafeLoader):
    """What PyYAML makes of YAML; that a key is given twice is looked for beside it."""


def _doubles(node: yaml.Node) -> Iterator[Problem]:
    """Keys that are given twice, of which YAML would silently take the last."""
    waiting, seen = [node], set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:  # by an alias
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
        elif isinstance(node, yaml.MappingNode):
            first: dict[str, yaml.Mark] = {}
            for key, value in node.value:
                waiting.append(value)
                if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                    continue
                earlier = first.setdefault(key.value, key.start_mark)
                if earlier is not key.start_mark:
                    yield Problem(
                        f"the key {key.value!r} is given twice, first in line {earlier.line + 1}.",
                        line=key.start_mark.line + 1,
                        column=key.start_mark.column + 1,
                    )


def _problem_of(error: yaml.YAMLError, text: str) -> Problem:
    """What is no YAML at all."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    said = getattr(error, "problem", None) or str(error).partition("\n")[0]
    context = getattr(error, "context", None)
    message = f"it is not valid YAML: {said}{f' ({context})' if context else ''}."
    if mark is None:
        position = getattr(error, "position", None)  # of a character that YAML does not allow
        if not isinstance(position, int):
            return Problem(message)
        before = text[:position]
        message = "it holds a control character, which YAML does not allow."
        return Problem(message, line=before.count("\n") + 1, column=position - before.rfind("\n"))
    line = text.split("\n")[mark.line] if mark.line < text.count("\n") + 1 else ""
    if "\t" in line[: mark.column + 1] and not line[: mark.column].strip():
        message = "a tab stands here: YAML is indented by spaces only."
    return Problem(message, line=mark.line + 1, column=mark.column + 1)


def placed(problem: Problem, root: yaml.Node | None) -> Problem:
    """The same problem with the place of the last of its keys that is there."""
    if root is None:
        return problem
    node, mark = root, root.start_mark
    keys = problem.keys if problem.unknown_key is None else (*problem.keys, problem.unknown_key)
    for key in keys:
        found = _child(node, key)
        if found is None:
            break
        mark, node = found
    return attrs.evolve(problem, line=mark.line + 1, column=mark.column + 1)


def _child(node: yaml.Node, key: str | int) -> tuple[yaml.Mark, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for name, value in reversed(node.value):
            if isinstance(name, yaml.ScalarNode) and name.value == str(key):
                return name.start_mark, value
    if isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
        value = node.value[key]
        return value.start_mark, value
    return None
