"""`hadoop jar knit.jar io.continuum.knit.Client`: submits as the SDK does, and says how it went."""

from __future__ import annotations

import io
import json
import re
import shutil
import socket
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import attrs
import knit
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from knit import FinalStatus, YarnState
from knit._tls import ApplicationTls

from integration.applications import (
    PATIENCE,
    PROGRAMS,
    Applications,
    Gate,
    finish,
    wait_for_text,
)
from integration.clusters import Cluster
from integration.command_line import CommandLine
from integration.hadoop_jar import MAIN_CLASS, HadoopJar
from integration.hdfs import Hdfs
from integration.programs import GATE_VARIABLE
from integration.test_command_quoting import COMMANDS, at_home

APPLICATION_ID = re.compile(r"application_\d+_\d+")
SMALL = ("-m", "64")

# As the documentation of knit 0.1.1 has it in 3.3.4, but for the name of the program: nodes of
# today have a python3.
DOCUMENTED = (
    "--numContainers",
    "1",
    "--command",
    "python3 -c 'import sys; print(sys.path); import random; print(str(random.random()))'",
)


@pytest.fixture(scope="module")
def hadoop_jar(cluster: Cluster) -> HadoopJar:
    try:
        return HadoopJar.of(cluster)
    except LookupError as error:
        pytest.skip(str(error))


def adopted(out: str, client: knit.Client, applications: Applications) -> knit.Application:
    """The application whose ID was printed, and nothing else."""
    assert re.fullmatch(APPLICATION_ID.pattern + "\n", out), out
    return applications.adopt(client.application(out.strip()))


# Running.


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


@pytest.mark.parametrize("words", [(), (MAIN_CLASS,), (MAIN_CLASS, "--help"), ("--help",)], ids=str)
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
    hadoop_jar: HadoopJar, client: knit.Client, applications: Applications
) -> None:
    """As in knit 0.1.1."""
    command = '[ "$KNIT_RANK" = 0 ] && exit 3; sleep 3; echo done'
    ending = finish(
        adopted(hadoop_jar.run("-n", "2", *SMALL, "-C", command).out, client, applications)
    )
    assert ending.report.final_status is FinalStatus.FAILED
    assert ending.text("worker", 1) == "done\n"


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


# What others can do with it.


@pytest.fixture
def waiting(
    hadoop_jar: HadoopJar, client: knit.Client, applications: Applications, gate: Gate
) -> knit.Application:
    """An application of two containers that wait, submitted from the JVM."""
    variable = f"{GATE_VARIABLE}={gate.environment[GATE_VARIABLE]}"
    done = hadoop_jar.run(
        "-n", "2", *SMALL, "--files", str(PROGRAMS), "--env", variable,
        "-C", f"python3 {PROGRAMS.name} wait",
    )  # fmt: skip
    app = adopted(done.out, client, applications)
    wait_for_text(app, "waits", 2)
    return app


def test_the_python_side_works_with_it(
    cluster: Cluster, waiting: knit.Application, gate: Gate, hdfs: Hdfs
) -> None:
    command_line = CommandLine(cluster)
    application_id = waiting.application_id
    assert "2 running" in command_line.run("status", application_id).out
    assert command_line.run("containers", application_id).out.count("\n") == 3
    [added] = waiting.add_containers(1)
    assert (added.service, added.rank) == ("worker", 2)
    wait_for_text(waiting, "worker/2 waits", 1)
    assert application_id in hdfs.staged_applications()
    gate.open()
    logs = command_line.run("logs", "-f", application_id).out
    assert logs.count("goes on") == 3
    assert command_line.run("wait", application_id).out == f"{application_id}\tSUCCEEDED\n"


def test_its_record_and_certificates_are_as_the_python_sides(
    waiting: knit.Application, hdfs: Hdfs
) -> None:
    path = f"{hdfs.home}/.knit/applications/{waiting.application_id}/application.json"
    record = json.loads(hdfs.read(path))
    assert record.keys() == {"version", "cache", "tls"}
    assert record["cache"] == sorted(record["cache"])
    assert set(record["cache"]) <= hdfs.cache().keys()
    status, directory = hdfs.status(path), hdfs.status(path.rpartition("/")[0])
    assert status is not None
    assert directory is not None
    assert (status["permission"], directory["permission"]) == ("600", "700")

    ours, theirs = record["tls"], ApplicationTls.generate()
    pairs = [(ours["ca"].encode(), theirs.ca), (ours["client_cert"].encode(), theirs.client.cert)]
    for from_jvm, from_python in pairs:
        one, other = (x509.load_pem_x509_certificate(pem) for pem in (from_jvm, from_python))
        assert (one.subject, one.issuer) == (other.subject, other.issuer)
        assert one.version is other.version
        assert one.signature_hash_algorithm is not None
        assert other.signature_hash_algorithm is not None
        assert one.signature_hash_algorithm.name == other.signature_hash_algorithm.name
        assert one.not_valid_after_utc - one.not_valid_before_utc == (
            other.not_valid_after_utc - other.not_valid_before_utc
        )
        assert outline(one) == outline(other)
    authority = x509.load_pem_x509_certificate(ours["ca"].encode())
    certificate = x509.load_pem_x509_certificate(ours["client_cert"].encode())
    certificate.verify_directly_issued_by(authority)
    key = load_pem_private_key(ours["client_key"].encode(), None)
    assert key.public_key() == certificate.public_key()
    own = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    assert own == x509.SubjectKeyIdentifier.from_public_key(certificate.public_key())


def outline(certificate: x509.Certificate) -> list[tuple[str, bool, object]]:
    """Its extensions, but for what names its keys."""
    named = (x509.SubjectKeyIdentifier, x509.AuthorityKeyIdentifier)
    return [
        (
            each.oid.dotted_string,
            each.critical,
            None if isinstance(each.value, named) else each.value,
        )
        for each in certificate.extensions
    ]


def test_what_one_side_uploaded_the_other_need_not(
    hadoop_jar: HadoopJar,
    client: knit.Client,
    applications: Applications,
    hdfs: Hdfs,
    tmp_path: Path,
) -> None:
    file = tmp_path / "shared.txt"
    file.write_text(f"shared {time.time_ns()}\n")
    by_python = applications.run(knit.Service("cat shared.txt", files=[file]))
    before = hdfs.cache()
    done = hadoop_jar.run("-C", "cat shared.txt", *SMALL, "--files", str(file))
    by_jvm = finish(adopted(done.out, client, applications))
    assert by_python.text("worker") == by_jvm.text("worker") == file.read_text()
    assert "uploaded" not in done.err
    assert hdfs.cache() == before
    sources = [
        each.description.services["worker"].files["shared.txt"].source
        for each in (by_python, by_jvm)
    ]
    assert sources[0] == sources[1], "a node that has one has the other"


# Refusals.


@pytest.fixture
def nothing_left_behind(client: knit.Client, hdfs: Hdfs) -> Iterator[None]:
    """Whatever was refused is in neither YARN nor HDFS."""

    def known() -> set[str]:
        return {report.application_id for report in client.applications(name="refused", user=None)}

    applications, staged, cached = known(), hdfs.staged_applications(), hdfs.cache()
    yield
    assert known() <= applications
    assert hdfs.staged_applications() <= staged
    assert hdfs.cache() == cached


REFUSED = {
    "unknown-queue": (("-C", "true", "--queue", "no-such-queue"), 1, "no-such-queue"),
    "queue-of-queues": (("-C", "true", "--queue", "root"), 1, "root.default"),
    "stopped-queue": (("-C", "true", "--queue", "stopped"), 1, "stopped"),
    "memory": (("-C", "true", "-m", "1000000"), 1, "1000000 MB"),
    "vcores": (("-C", "true", "-c", "100000"), 1, "100000 vcores"),
    "missing-file": (("-C", "true", "--files", "/no/such/file"), 1, "/no/such/file"),
    "missing-on-hdfs": (("-C", "true", "--files", "hdfs:///no/such"), 1, "hdfs:///no/such"),
    "directory": (("-C", "true", "--files", "/tmp"), 1, "/tmp"),
    "one-name-twice": (("-C", "true", "--files", "/etc/hosts,/etc/passwd#hosts"), 1, "'hosts'"),
    "missing-environment": (("-C", "true", "-p", "/no/such.zip"), 1, "/no/such.zip"),
    "no-archive": (("-C", "true", "-p", "/etc/hosts"), 2, "/etc/hosts"),
    "no-command": (("-n", "1"), 2, "--command"),
    "empty-command": (("-C", "  "), 2, "--command"),
    "no-containers": (("-C", "true", "-n", "0"), 2, "--numContainers"),
    "negative-containers": (("-C", "true", "-n", "-2"), 2, "--numContainers"),
    "no-memory": (("-C", "true", "-m", "0"), 2, "--memory"),
    "no-cores": (("-C", "true", "-c", "0"), 2, "--virtualCores"),
    "words": (("-C", "true", "-n", "many"), 2, "--numContainers"),
    "unquoted": (("-C", "echo", "hello"), 2, "quotes"),
    "unknown-option": (("-C", "true", "--nonsense"), 2, "--nonsense"),
}


@pytest.mark.usefixtures("nothing_left_behind")
@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_run_is_refused_in_one_sentence(
    hadoop_jar: HadoopJar, cluster: Cluster, case: str
) -> None:
    arguments, status, hint = REFUSED[case]
    if case == "stopped-queue" and cluster.name == "external":
        pytest.skip("this cluster was not set up by the suite")
    done = hadoop_jar.run("--name", "refused", *arguments, status=status)
    assert_one_sentence(done.out, done.err, hint)


def assert_one_sentence(out: str, err: str, hint: str) -> None:
    complaints = [line for line in err.splitlines() if not line.startswith("knit: checked")]
    assert out == ""
    assert len(complaints) == 1, err
    assert complaints[0].startswith("knit: ")
    assert hint in complaints[0]


@pytest.mark.usefixtures("nothing_left_behind")
def test_who_may_not_write_is_told(hadoop_jar: HadoopJar, cluster: Cluster, hdfs: Hdfs) -> None:
    if cluster.name == "external":
        pytest.skip("this cluster was not set up by the suite")
    arguments = ("--name", "refused", "-C", "true")
    done = hadoop_jar.run(*arguments, status=1, environment={"HADOOP_USER_NAME": "homeless"})
    assert_one_sentence(done.out, done.err, "/user/homeless")
    cluster.create_home("reader")
    theirs = attrs.evolve(hdfs, user="reader")
    theirs.set_permission(theirs.home, "500")
    try:
        done = hadoop_jar.run(*arguments, status=1, environment={"HADOOP_USER_NAME": "reader"})
        assert_one_sentence(done.out, done.err, "/user/reader")
    finally:
        theirs.set_permission(theirs.home, "700")


def configured(cluster: Cluster, directory: Path, name: str, value: str) -> Path:
    """A copy of the cluster's configuration with another value of one property."""
    shutil.copytree(cluster.conf_dir, directory)
    file = directory / ("core-site.xml" if name.startswith(("fs.", "hadoop.")) else "yarn-site.xml")
    changed = f"<property><name>{name}</name><value>{value}</value></property></configuration>"
    file.write_text(file.read_text().replace("</configuration>", changed))
    return directory


@pytest.mark.usefixtures("nothing_left_behind")
@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("yarn.resourcemanager.address", "localhost:1", "yarn.resourcemanager.address"),
        ("yarn.resourcemanager.address", "no-such-host.invalid:8032", "no-such-host.invalid"),
        ("fs.defaultFS", "hdfs://localhost:1", "hdfs://localhost:1"),
        ("fs.defaultFS", "hdfs://no-such-host.invalid", "no-such-host.invalid"),
        ("fs.defaultFS", "file:///", "HADOOP_CONF_DIR"),
        ("hadoop.security.authentication", "kerberos", "kinit"),
    ],
)
def test_a_cluster_that_is_not_there_is_given_up_soon(
    hadoop_jar: HadoopJar, cluster: Cluster, tmp_path: Path, name: str, value: str, hint: str
) -> None:
    elsewhere = attrs.evolve(
        hadoop_jar, conf_dir=configured(cluster, tmp_path / "conf", name, value)
    )
    began = time.monotonic()
    done = elsewhere.run("--name", "refused", "-C", "true", status=1)
    assert_one_sentence(done.out, done.err, hint)
    assert time.monotonic() - began < 60


@pytest.mark.usefixtures("nothing_left_behind")
def test_a_resource_manager_that_says_nothing_is_given_up(
    hadoop_jar: HadoopJar, cluster: Cluster, tmp_path: Path
) -> None:
    with socket.create_server(("localhost", 0)) as silent:
        address = f"localhost:{silent.getsockname()[1]}"
        conf_dir = configured(cluster, tmp_path / "conf", "yarn.resourcemanager.address", address)
        elsewhere = attrs.evolve(hadoop_jar, conf_dir=conf_dir)
        done = elsewhere.run("--name", "refused", "-C", "true", status=1)
    assert_one_sentence(done.out, done.err, address)


def test_a_trace_is_shown_to_who_asks_for_it(hadoop_jar: HadoopJar) -> None:
    done = hadoop_jar.run("-C", "true", "--files", "/no/such/file", "--debug", status=1)
    assert "\tat knit.client." in done.err
    assert done.out == ""
