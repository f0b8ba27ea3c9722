"""Encryption zones, whose keys a real KMS gives to who has a token of it."""

from __future__ import annotations

import re
import shlex

import attrs
import knit
import pytest
from knit import FinalStatus

from integration.applications import PATIENCE, Applications, read_logs
from integration.clusters import rest
from integration.clusters.embedded import EmbeddedCluster
from integration.clusters.security import service
from integration.hdfs import Hdfs

KEY = "key-of-the-zone"
ZONE = "/zone"
TEXT = b"to be read by who has the key\n"
_ADMINISTRATION = "org.apache.hadoop.hdfs.tools.CryptoAdmin"
_SHELL = "org.apache.hadoop.fs.FsShell"
# Nodes look at virtual memory, too.
_SMALL_JAVA = ("-Xmx64m", "-XX:CompressedClassSpaceSize=64m", "-XX:ReservedCodeCacheSize=64m")

# Tokens grow old meanwhile, those of the KMS among them.
pytestmark = pytest.mark.usefixtures("both")


@pytest.fixture(scope="module")
def secret(cluster: EmbeddedCluster, hdfs: Hdfs) -> str:
    """The path of a file in an encryption zone."""
    superuser = cluster.session(service("nn"))
    asked = {"name": KEY, "cipher": "AES/CTR/NoPadding", "length": 128}
    cluster.session(cluster.user).call("POST", f"{cluster.kms_url}/v1/keys", asked)
    rest.make_hdfs_directory(
        superuser, cluster.name_node_url, ZONE, owner=cluster.user, permission="700"
    )
    arguments = ["-createZone", "-keyName", KEY, "-path", ZONE]
    done = cluster.run_tool(_ADMINISTRATION, *arguments, user=service("nn"))
    assert done.returncode == 0, done.stderr
    path = f"{ZONE}/secret.txt"
    hdfs.write(path, TEXT)
    return path


def test_what_lies_in_the_zone_is_encrypted(
    cluster: EmbeddedCluster, hdfs: Hdfs, secret: str
) -> None:
    assert hdfs.read(secret) == TEXT
    superuser = attrs.evolve(hdfs, session=cluster.session(service("nn")))
    stored = superuser.read(f"/.reserved/raw{secret}")
    assert len(stored) == len(TEXT)
    assert stored != TEXT


def test_containers_read_it_by_the_token_that_came_with_the_submission(
    cluster: EmbeddedCluster, applications: Applications, hdfs: Hdfs, secret: str
) -> None:
    """YARN for them before they start, and a program of Hadoop's in one that has no ticket."""
    assert cluster.hadoop_command is not None
    java, *words = [
        each.replace("$HADOOP_CONF_DIR", str(cluster.conf_dir)) for each in cluster.hadoop_command
    ]
    shell = shlex.join([java, *_SMALL_JAVA, *words, _SHELL, "-cat", secret])
    app = applications.submit(
        knit.Service(
            f"cat brought.txt && {shell}",
            files={"brought.txt": f"{hdfs.default_fs}{secret}"},
            resources=knit.Resources(memory="1 GiB"),
        )
    )
    logs = read_logs(app, follow=True)
    assert app.wait(timeout=PATIENCE).final_status is FinalStatus.SUCCEEDED, logs
    assert logs["worker", 0, 1, "stdout"] == 2 * TEXT
    assert f"OK[op=DECRYPT_EEK, key={KEY}, user={cluster.user}" in cluster.said("kms")
    renewed = rf"Renewed delegation-token= \[Kind: kms-dt.*\[.*{app.application_id}"
    assert re.search(renewed, cluster.said("resourcemanager")), "nobody renews it"
