"""`hadoop jar knit.jar io.continuum.knit.Client`: submits as the SDK does, and says how it went."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import knit
import pytest
from knit import FinalStatus, YarnState

from integration.applications import (
    PATIENCE,
    PROGRAMS,
    Applications,
    Gate,
    finish,
    wait_for_states,
    wait_for_text,
)
from integration.hadoop_jar import MAIN_CLASS, SMALL, HadoopJar, adopted
from integration.hdfs import Hdfs
from integration.programs import GATE_VARIABLE
from integration.test_command_quoting import COMMANDS, at_home

# As the documentation of knit 0.1.1 has it in 3.3.4, but for the name of the program: nodes of
# today have a python3.
DOCUMENTED = (
    "--numContainers",
    "1",
    "--command",
    "python3 -c 'import sys; print(sys.path); import random; print(str(random.random()))'",
)


# Running.


@pytest.mark.topology("the client and the Application Master are on different machines")
def test_the_documented_example_runs(
    hadoop_jar: HadoopJar, client: knit.Client, applications: Applications
) -> None:
    done = hadoop_jar.run(*DOCUMENTED)
    ending = finish(adopted(done.out, client, applications))
    path, number = ending.text("worker").splitlines()
    assert path.startswith("['', ")
    assert 0 <= float(number) < 1
    assert ending.report.final_status is FinalStatus.SUCCEEDED
    assert (ending.report.name, ending.report.application_type) == ("knit", "knit")


@pytest.mark.parametrize("words", [(), (MAIN_CLASS, "--help")], ids=str)
def test_alone_it_prints_help(hadoop_jar: HadoopJar, words: tuple[str, ...]) -> None:
    done = hadoop_jar.run_jar(*words)
    for option in ("numContainers", "memory", "virtualCores", "command", "pythonEnv", "help"):
        assert f"--{option}" in done.out
    assert done.err == ""


def test_the_name_of_the_class_may_be_left_out(
    hadoop_jar: HadoopJar, client: knit.Client, applications: Applications
) -> None:
    done = hadoop_jar.run_jar("-C", "echo here", *SMALL)
    assert finish(adopted(done.out, client, applications)).text("worker") == "here\n"


@pytest.mark.parametrize(("command", "status"), [("true", 0), ("echo no >&2; exit 42", 42)])
def test_waiting_ends_with_the_programs_exit_code(
    hadoop_jar: HadoopJar,
    client: knit.Client,
    applications: Applications,
    command: str,
    status: int,
) -> None:
    done = hadoop_jar.run("-C", command, *SMALL, "--wait", status=status)
    app = adopted(done.out, client, applications)
    assert app.report().state is YarnState.FINISHED
    lines = done.err.splitlines()
    assert all(line.startswith("knit: ") for line in lines), done.err
    assert "submitted" in done.err
    assert ("SUCCEEDED" if status == 0 else "exit code 42") in lines[-1]


def test_every_container_runs_to_its_end_although_another_failed(
    hadoop_jar: HadoopJar, client: knit.Client, applications: Applications, gate: Gate
) -> None:
    """As in knit 0.1.1."""
    variable = f"{GATE_VARIABLE}={gate.environment[GATE_VARIABLE]}"
    command = f'[ "$KNIT_RANK" = 0 ] && exit 3; exec python3 {PROGRAMS.name} wait'
    arguments = ("-n", "2", *SMALL, "--files", str(PROGRAMS), "--env", variable, "-C", command)
    app = adopted(hadoop_jar.run(*arguments).out, client, applications)
    wait_for_states(app, 1, knit.ContainerState.FAILED)
    gate.open()
    ending = finish(app)
    assert ending.report.final_status is FinalStatus.FAILED
    assert ending.text("worker", 1) == "worker/1 waits\nworker/1 goes on\n"


def test_a_time_limit_stops_it(
    hadoop_jar: HadoopJar, client: knit.Client, applications: Applications, hdfs: Hdfs
) -> None:
    done = hadoop_jar.run("-C", "exec sleep 600", *SMALL, "--wait", "--timeout", "1s", status=124)
    app = adopted(done.out, client, applications)
    report = app.wait(timeout=PATIENCE)
    assert (report.final_status, report.state.is_final) == (FinalStatus.KILLED, True)


def test_ctrl_c_leaves_it_running(
    hadoop_jar: HadoopJar, client: knit.Client, applications: Applications, gate: Gate
) -> None:
    variable = f"{GATE_VARIABLE}={gate.environment[GATE_VARIABLE]}"
    arguments = ("-C", f"python3 {PROGRAMS.name} wait", "--files", str(PROGRAMS), "--env", variable)
    with hadoop_jar.start(MAIN_CLASS, *arguments, *SMALL, "--wait") as running:
        running.wait_for_output("application_")
        app = adopted(running.out, client, applications)
        wait_for_text(app, "waits", 1)
        running.interrupt()
        assert running.wait() != 0
    assert f"{app.application_id} goes on" in running.err
    assert app.report().state is YarnState.RUNNING


# What reaches the program.


@pytest.mark.parametrize("name", ["nested-quotes", "non-ascii", "yarn-variables", "quoted-heredoc"])
def test_a_command_does_what_it_does_at_home(
    hadoop_jar: HadoopJar,
    client: knit.Client,
    applications: Applications,
    name: str,
    tmp_path: Path,
) -> None:
    done = hadoop_jar.run("--command", COMMANDS[name], *SMALL)
    ending = finish(adopted(done.out, client, applications))
    stdout, stderr, exit_code = at_home(COMMANDS[name], tmp_path)
    assert (ending.log("worker"), ending.log("worker", file="stderr")) == (stdout, stderr)
    assert ending.exit("worker").exit_code == exit_code


@pytest.mark.topology("the client and the Application Master are on different machines")
def test_files_variables_and_sizes_reach_every_container(
    hadoop_jar: HadoopJar,
    client: knit.Client,
    applications: Applications,
    hdfs: Hdfs,
    tmp_path: Path,
) -> None:
    here = tmp_path / "here.txt"
    here.write_text("from here\n")
    there = f"{hdfs.home}/there 1.txt"
    hdfs.write(there, b"from there\n")
    url = f"{hdfs.default_fs}{there}".replace(" ", "%20")
    try:
        done = hadoop_jar.run(
            "-n", "3", "-m", "200", "-c", "2", "--name", "many", "--queue", "root.default",
            "--files", f"{here},{url}", "--files", f"{here}#again.txt",
            "--env", "GREETING=it's $HOME, {{PWD}}", "--env", "EMPTY=",
            "-C", 'cat here.txt there*.txt again.txt; echo "$KNIT_RANK $GREETING [${EMPTY-unset}]"',
        )  # fmt: skip
        ending = finish(adopted(done.out, client, applications))
    finally:
        hdfs.delete(there)
    for rank in range(3):
        assert ending.text("worker", rank) == (
            f"from here\nfrom there\nfrom here\n{rank} it's $HOME, {{{{PWD}}}} []\n"
        )
        container = ending.container("worker", rank)
        assert container.resources.memory_mib >= 200
    assert (ending.report.name, ending.report.queue) == ("many", "root.default")
    assert ending.description.services["worker"].resources == knit.Resources(200, vcores=2)


@pytest.mark.parametrize("top", ["", "dev/"], ids=["at-the-top", "in-its-only-directory"])
def test_a_python_environment_is_there(
    hadoop_jar: HadoopJar,
    client: knit.Client,
    applications: Applications,
    tmp_path: Path,
    top: str,
) -> None:
    archive = tmp_path / "dev.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name, content, mode in (
            ("bin/python", b'#!/bin/sh\nexec python3 "$@"\n', 0o755),
            ("bin/greet", b"#!/bin/sh\necho a program of the environment\n", 0o755),
        ):
            entry = tarfile.TarInfo(top + name)
            entry.size, entry.mode = len(content), mode
            tar.addfile(entry, io.BytesIO(content))
    command = '$PYTHON_BIN -c "print(6 * 7)"; greet; [ "$PYTHON_BIN" = "$CONDA_PREFIX/bin/python" ]'
    done = hadoop_jar.run("-p", str(archive), "-C", command)
    ending = finish(adopted(done.out, client, applications))
    assert ending.text("worker") == "42\na program of the environment\n"
    assert ending.exit("worker").exit_code == 0, ending.text("worker", file="stderr")
