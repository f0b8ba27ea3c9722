"""From a command line to a specification."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest

import knit
from knit.cli._main import knit as group
from knit.cli._specifying import make_spec


def spec_of(*arguments: str) -> knit.ApplicationSpec:
    """What `knit run` with these arguments would submit."""
    context = group.commands["run"].make_context("run", list(arguments))
    options: dict[str, Any] = dict(context.params)
    for name in ("detach", "limit", "quiet", "as_json", "conf", "user"):
        options.pop(name)
    return make_spec(options.pop("words"), options.pop("spec"), options)


def command_of(*arguments: str) -> str:
    return spec_of(*arguments).services["worker"].command


def test_one_word_is_a_line_for_bash_as_typed() -> None:
    assert command_of("echo $KNIT_RANK | tr 0 a; exit 3") == "echo $KNIT_RANK | tr 0 a; exit 3"
    assert command_of("--", "ls *") == "ls *"


def test_several_words_are_one_argument_each() -> None:
    assert command_of("--", "python", "-c", 'print("$HOME")') == "python -c 'print(\"$HOME\")'"
    assert command_of("echo", "it's", "", "a\nb") == "echo 'it'\"'\"'s' '' 'a\nb'"


def test_options_after_the_command_are_the_commands_own() -> None:
    assert command_of("-n", "2", "python", "x.py", "-n", "7", "--json") == "python x.py -n 7 --json"


def test_each_option_finds_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").touch()
    (tmp_path / "env.tar.gz").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOKEN", "secret")
    spec = spec_of(
        *["-n", "4", "--memory", "1.5GiB", "--vcores", "2", "--service", "trainer"],
        *["--file", "a.txt", "--file", "hdfs://nn/b#c", "--archive", "env.tar.gz#env"],
        *[
            "--python-env",
            "venv",
            "--env",
            "TOKEN",
            "--env",
            "X=1=2",
            "--max-restarts",
            "1",
            "--max-replacements",
            "0",
        ],
        *["--finish-others", "--name", "demo", "--queue", "q", "--tag", "a", "--tag", "b"],
        *["--max-attempts", "2", "--am-memory", "1g", "./train.sh"],
    )
    service = spec.services["trainer"]
    assert service.command == "./train.sh"
    assert service.instances == 4
    assert service.resources == knit.Resources(memory=1536, vcores=2)
    assert list(service.files) == ["a.txt", "c", "env"]
    assert service.files["env"].archive
    assert service.python_environment == "venv"
    assert service.environment == {"TOKEN": "secret", "X": "1=2"}
    assert (service.max_restarts, service.max_replacements) == (1, 0)
    assert service.failure_policy is knit.FailurePolicy.FINISH_OTHERS
    assert (spec.name, spec.queue, spec.tags, spec.max_attempts) == ("demo", "q", ("a", "b"), 2)
    assert spec.application_master.memory_mib == 1024


@pytest.mark.parametrize(
    ("command", "name"),
    [("/usr/bin/python3 x.py", "python3"), ("(cd /; ls)", "cd"), ("'a b' c", "a"), ("$(x)", "$(x")],
)
def test_the_name_is_the_commands_by_default(command: str, name: str) -> None:
    assert spec_of(command).name == name


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "Give a command"),
        ([""], "The command is empty"),
        (["  "], "The command is empty"),
        (["-n", "0", "ls"], "-n"),
        (["-n", "x", "ls"], "-n"),
        (["--memory", "much", "ls"], "--memory"),
        (["--memory", "0", "ls"], "--memory"),
        (["--vcores", "-1", "ls"], "--vcores"),
        (["--env", "A B=1", "ls"], "--env"),
        (["--env", "KNIT_TEST_NOT_SET", "ls"], "is not set here"),
        (["--file", "a#", "ls"], "--file"),
        (["--file", "a#b/c", "ls"], "--file"),
        (["--archive", "a.txt", "ls"], "--archive"),
        (["--spec", "x.yaml", "ls"], "not both"),
        (["--spec", "x.yaml", "-n", "2", "--env", "A=1"], "--instances, --env: write that into"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: list[str], complaint: str) -> None:
    with pytest.raises(click.UsageError) as caught:
        spec_of(*arguments)
    assert complaint in caught.value.format_message()


def test_a_file_describes_what_no_option_does(tmp_path: Path) -> None:
    path = tmp_path / "app.yaml"
    path.write_text(
        "name: demo\nqueue: a\ntags: [x]\nservices:\n  one: {command: ls, instances: 2}\n"
        "  two: {command: cat b.txt, files: [b.txt]}\n"
    )
    spec = spec_of("--spec", str(path), "--queue", "b", "--tag", "y", "--am-memory", "1GiB")
    assert (spec.name, spec.queue, spec.tags) == ("demo", "b", ("x", "y"))
    assert sorted(spec.services) == ["one", "two"]
    assert spec.services["two"].files["b.txt"].source == str(tmp_path / "b.txt")
    assert spec.application_master.memory_mib == 1024
