"""What was submitted from the JVM, the SDK takes over, and the other way round."""

from __future__ import annotations

import json
import time
from pathlib import Path

import knit
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from knit._wire.tls import ApplicationTls

from integration.applications import PROGRAMS, Applications, Gate, finish, wait_for_text
from integration.clusters import Cluster
from integration.command_line import CommandLine
from integration.hadoop_jar import SMALL, HadoopJar, adopted
from integration.hdfs import Hdfs
from integration.programs import GATE_VARIABLE


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


@pytest.mark.topology("the client and the Application Master are on different machines")
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
    waiting: knit.Application, hdfs: Hdfs, config: knit.ClusterConfig
) -> None:
    path = f"{hdfs.home}/.knit/applications/{waiting.application_id}/application.json"
    record = json.loads(hdfs.read(path))
    assert record.keys() == {"version", "cache", "tls", "resource_manager"}
    assert record["resource_manager"] == config.resource_manager_name
    assert record["cache"] == sorted(record["cache"])
    assert set(record["cache"]) <= hdfs.cache().keys()
    status, directory = hdfs.status(path), hdfs.status(path.rpartition("/")[0])
    assert status is not None
    assert directory is not None
    assert (status["permission"], directory["permission"]) == ("600", "700")

    ours, theirs = record["tls"], ApplicationTls.generate()
    pairs = [(ours["ca"].encode(), theirs.ca), (ours["client_cert"].encode(), theirs.client.cert)]
    assert ours["others"].keys() == {"operator", "viewer"}
    pairs += [
        (pair["cert"].encode(), theirs.clients[role].cert) for role, pair in ours["others"].items()
    ]
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
