"""From a command line to a specification."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
import pytest

import knit
from knit.cli._arguments.specifying import make_spec
from knit.cli._main import knit as group


def spec_of(
    *arguments: str, note: Callable[[str], object] = lambda _: None
) -> knit.ApplicationSpec:
    """What `knit run` with these arguments would submit."""
    context = group.commands["run"].make_context("run", list(arguments))
    options: dict[str, Any] = dict(context.params)
    for name in ("detach", "limit", "dry_run", "quiet", "as_json", "conf", "user", "call_timeout"):
        options.pop(name)
    return make_spec(options.pop("words"), options.pop("spec"), options, note)


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
        *["--priority", "0", "--lifetime", "2h", "--node-label", "gpu", "--type", "batch"],
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
    assert (spec.priority, spec.node_label, spec.type) == (0, "gpu", "batch")
    assert spec.lifetime == timedelta(hours=2)


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("/usr/bin/python3 x.py", "x.py"),
        ("python3 -u -W ignore dir/train.py --epochs 3", "train.py"),
        ("python -m pkg.tool --x", "pkg.tool"),
        ("python3 -c 'secret'", "python3"),
        ("(cd /; ls)", "ls"),
        ("cd work && X=1 exec ./prog -v", "prog"),
        ("for i in 1 2 3; do echo $i; done", "echo"),
        ("while true\ndo sleep 5\ndone", "true"),
        ("if [ -f a ]; then bash run.sh; fi", "run.sh"),
        ('"$PYTHON_BIN" a.py | tee log', "a.py"),
        ("'a b' c", "a b"),
        ("${PYTHON_BIN} b.py", "b.py"),
        ("{ ls; }", "ls"),
        ("TOKEN=hunter2 serve", "serve"),
        ("for", "for"),
        ("'open", "'open"),
        ("x" * 300, "x" * 59 + "…"),
    ],
)
def test_the_name_is_that_of_what_does_the_work(command: str, name: str) -> None:
    assert spec_of(command).name == name


def noted(*arguments: str) -> tuple[knit.Service, list[str]]:
    """The service that a command stands for, and what is said of it."""
    notes: list[str] = []
    return spec_of(*arguments, note=notes.append).services["worker"], notes


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a few files, which is the working directory."""
    (tmp_path / "train.py").write_text("print()\n")
    (tmp_path / "job.sh").write_text("ls\n")
    (tmp_path / "data.csv").write_text("1\n")
    (tmp_path / "prog").write_bytes(b"\x7fELF")
    (tmp_path / "ls").write_text("#!/bin/sh\n")
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "my train.py").write_text("print()\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "command", "files"),
    [
        (["train.py", "--epochs", "3"], "python3 train.py --epochs 3", ["train.py"]),
        (["train.py --epochs $N"], "python3 train.py --epochs $N", ["train.py"]),
        (["python", "train.py"], "python train.py", ["train.py"]),
        (["python", "-I", "train.py"], "python -I train.py", ["train.py"]),
        (["python -u train.py 2>&1"], "python -u train.py 2>&1", ["train.py"]),
        (["python train.py | tee log; ls"], "python train.py | tee log; ls", ["train.py"]),
        (["./job.sh"], "bash job.sh", ["job.sh"]),
        (["./prog", "a b"], "./prog 'a b'", ["prog"]),
        (["python3", "src/my train.py"], "python3 'my train.py'", ["my train.py"]),
        (["--python-env", "venv", "train.py"], '"$PYTHON_BIN" train.py', ["train.py"]),
        # Nothing of this means a file here, or not for certain.
        (["ls"], "ls", []),
        (["python", "-c", "train.py"], "python -c train.py", []),
        (["python", "-m", "train"], "python -m train", []),
        (["cd x; python train.py"], "cd x; python train.py", []),
        (["data.csv"], "data.csv", []),
        (["--", "missing.py"], "missing.py", []),
    ],
)
def test_a_script_that_lies_here_is_taken_along(
    here: Path, arguments: list[str], command: str, files: list[str]
) -> None:
    service, notes = noted(*arguments)
    assert (service.command, list(service.files)) == (command, files)
    assert any(note.startswith("taking ") for note in notes) is bool(files)


def test_what_is_given_as_a_file_is_left_as_it_is(here: Path) -> None:
    service, notes = noted("--file", "train.py", "python", "train.py")
    assert (service.command, list(service.files), notes) == ("python train.py", ["train.py"], [])


def test_other_files_that_lie_here_are_spoken_of(here: Path) -> None:
    service, notes = noted("python", "train.py", "--data=data.csv")
    assert list(service.files) == ["train.py"]
    assert "data.csv lies here and not on the nodes: --file data.csv takes it along" in notes


def test_options_behind_the_command_get_a_word(here: Path) -> None:
    _, notes = noted("date", "--instances", "3", "--memory=1GiB")
    assert notes == [
        "--instances, --memory=1GiB stand behind the command and so are passed on to date: "
        "options of knit stand before it"
    ]
    assert noted("--", "date", "--instances", "3")[1] == [], "who writes -- knows"
    assert noted("prog-of-theirs", "--name", "x")[1] == [], "anybody's option"


def test_variables_come_from_files_and_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a secret is in no list of processes."""
    monkeypatch.setenv("TOKEN", "hunter2")
    path = tmp_path / "app.env"
    path.write_text("# ours\n\nTOKEN\nA=1 # all of it\r\nB='x'\n")
    spec = spec_of("--env-file", str(path), "--env", "B=2", "ls")
    environment = spec.services["worker"].environment
    assert environment == {"TOKEN": "hunter2", "A": "1 # all of it", "B": "2"}


def test_a_line_that_is_no_variable_is_named_without_its_value(tmp_path: Path) -> None:
    path = tmp_path / "app.env"
    path.write_text("A=1\nB C=hunter2\n")
    with pytest.raises(click.UsageError) as caught:
        spec_of("--env-file", str(path), "ls")
    message = caught.value.format_message()
    assert f"{path}, line 2" in message
    assert "hunter2" not in message


def test_a_file_of_variables_has_an_end() -> None:
    with pytest.raises(click.UsageError) as caught:
        spec_of("--env-file", "/dev/zero", "ls")
    assert "larger than 1 MiB" in caught.value.format_message()


def test_ports_may_be_given(tmp_path: Path) -> None:
    assert spec_of("--master-ports", "50100-50200", "ls").master_ports == (50100, 50200)
    path = tmp_path / "app.yaml"
    path.write_text("name: a\nmaster_ports: 1024-1030\nservices: {w: {command: ls}}\n")
    assert spec_of("--spec", str(path)).master_ports == (1024, 1030)


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
        (["--master-ports", "x", "ls"], "--master-ports"),
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


def test_what_kerberos_needs_can_be_said() -> None:
    found = spec_of(
        *("--file-system", "hdfs://a", "--file-system", "hdfs://b:8020#without-renewer"),
        *("--ship-keytab", "~/alice.keytab", "--rm-token", "true"),
    )
    assert [(each.url, each.without_renewer) for each in found.file_systems] == [
        ("hdfs://a", False),
        ("hdfs://b:8020", True),
    ]
    assert found.keytab == "~/alice.keytab"
    assert found.services["worker"].resource_manager_token
    for wrong in ("hdfs://a#b", "s3a://bucket", "#without-renewer"):
        with pytest.raises(click.BadParameter):
            spec_of("--file-system", wrong, "true")
