"""What the client for the JVM cannot submit it refuses in one sentence; nothing is left behind."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import attrs
import knit
import pytest

from integration.clusters import Cluster
from integration.hadoop_jar import MAIN_CLASS, HadoopJar
from integration.hdfs import Hdfs


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


# One of each kind, for each starts a JVM: ArgumentsTest holds what people mistype, ChecksTest what
# a cluster lacks.
REFUSED = {
    "mistyped": (("-C", "true", "-n", "many"), 2, "--numContainers"),
    "unknown-queue": (("-C", "true", "--queue", "no-such-queue"), 1, "no-such-queue"),
    "stopped-queue": (("-C", "true", "--queue", "stopped"), 1, "stopped"),
    "too-large": (("-C", "true", "-m", "1000000"), 1, "1000000 MB"),
    "missing-file": (("-C", "true", "--files", "/no/such/file"), 1, "/no/such/file"),
    "missing-on-hdfs": (("-C", "true", "--files", "hdfs:///no/such"), 1, "hdfs:///no/such"),
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
    theirs = hdfs.claiming("reader")
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
    with elsewhere.start(MAIN_CLASS, "--name", "refused", "-C", "true") as running:
        assert running.wait(timedelta(minutes=2)) == 1, running.evidence()
    assert_one_sentence(running.out, running.err, hint)


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
