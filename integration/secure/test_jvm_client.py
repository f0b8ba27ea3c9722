"""`hadoop jar knit.jar` under Kerberos: by the ticket that is there, and with tokens of its own."""

from __future__ import annotations

import shlex
from pathlib import Path

import knit
from knit import FinalStatus
from knit._cluster.security.token_file import Credentials
from knit._cluster.security.token_services import file_system_service
from knit._cluster.security.tokens import HDFS_KIND, TokenIdentifier

from integration.applications import PATIENCE, Applications
from integration.clusters.embedded import EmbeddedCluster
from integration.hadoop_jar import SMALL, HadoopJar, adopted


def test_it_submits_waits_and_leaves_tokens(
    hadoop_jar: HadoopJar,
    cluster: EmbeddedCluster,
    config: knit.ClusterConfig,
    client: knit.Client,
    applications: Applications,
    tmp_path: Path,
) -> None:
    # Java takes tickets from a cache alone, which this fills.
    assert client.nodes()
    here = tmp_path / "here.txt"
    here.write_text("from here\n")
    copy = cluster.directory / "tokens-of-the-jvm-client"
    command = f'cat here.txt; umask 077; cp "$HADOOP_TOKEN_FILE_LOCATION" {shlex.quote(str(copy))}'
    done = hadoop_jar.run(
        *("-C", command, *SMALL, "--files", str(here), "--wait"),
        environment=cluster.environment(cluster.user),
    )
    app = adopted(done.out, client, applications)
    report = app.report()
    assert (report.user, report.final_status) == (cluster.user, FinalStatus.SUCCEEDED)
    logs = app.aggregated_logs(wait=PATIENCE)
    [worker] = [each for each in logs.containers.values() if not each.is_application_master]
    assert worker.read("stdout") == b"from here\n"
    held = Credentials.from_file(copy)
    [token] = held.of_kind(HDFS_KIND)
    assert token.service == file_system_service(config, config.default_fs)
    found = TokenIdentifier.of(token)
    assert found is not None
    assert (found.owner.partition("@")[0], found.renewer) == (cluster.user, "rm")
    # The ResourceManager's is for the Application Master, which asks it for nodes.
    assert held.of_kind("RM_DELEGATION_TOKEN") == []
    [master] = [each for each in logs.containers.values() if each.is_application_master]
    assert b"Client cannot authenticate" not in master.read("stderr")
