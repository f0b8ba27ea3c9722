"""`hadoop jar knit.jar`, as a process of its own: the client for the JVM."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import attrs
import knit
from knit._submission.submit import JAR

from integration.applications import Applications
from integration.clusters import Cluster
from integration.command_line import Running, start

MAIN_CLASS = "io.continuum.knit.Client"
APPLICATION_ID = re.compile(r"application_\d+_\d+")
SMALL = ("-m", "64")
_RUN_JAR = "org.apache.hadoop.util.RunJar"


@attrs.frozen
class HadoopJar:
    """
    Starts the client on a cluster, with the cluster's own class path.

    The command `hadoop jar` comes to `RunJar` in the end, which is what runs here; so the command
    need not be installed.
    """

    command: Sequence[str]
    """Up to the jar, with `$HADOOP_CONF_DIR` in it."""
    conf_dir: Path
    """The cluster's configuration; a test may take another one."""
    user: str

    @classmethod
    def of(cls, cluster: Cluster) -> HadoopJar:
        """
        Raises:
            LookupError: It is not known how programs of the cluster's Hadoop are run.
        """
        if cluster.hadoop_command is not None:
            java, *options = cluster.hadoop_command
            # What tests find must not depend on this machine's Kerberos, where there is one.
            command = [java, "-Djava.security.krb5.conf=/dev/null", *options, _RUN_JAR]
            return cls(command, cluster.conf_dir, cluster.user)
        if hadoop := shutil.which("hadoop"):
            return cls([hadoop, "jar"], cluster.conf_dir, cluster.user)
        raise LookupError("There is no command `hadoop` here, and no other way to its class path.")

    @contextlib.contextmanager
    def start(
        self, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> Iterator[Running]:
        """Start it; it does not outlive the block."""
        words = [word.replace("$HADOOP_CONF_DIR", str(self.conf_dir)) for word in self.command]
        everything = {
            **os.environ,
            "LANG": "C.UTF-8",
            "LC_ALL": "C.UTF-8",
            "HADOOP_CONF_DIR": str(self.conf_dir),
            "HADOOP_USER_NAME": self.user,
            # Else each run unpacks the jar before it loads it; what the client does is the same.
            "HADOOP_CLIENT_SKIP_UNJAR": "true",
            "KRB5CCNAME": "/dev/null",
            **(environment or {}),
        }
        with start([*words, str(JAR), *arguments], everything) as running:
            yield running

    def run(
        self,
        *arguments: str,
        status: int = 0,
        environment: Mapping[str, str] | None = None,
    ) -> Running:
        """Run the client, by its documented name, to its end, which is to come with this status."""
        return self.run_jar(MAIN_CLASS, *arguments, status=status, environment=environment)

    def run_jar(
        self,
        *arguments: str,
        status: int = 0,
        environment: Mapping[str, str] | None = None,
    ) -> Running:
        """The same with nothing but these words after the jar."""
        with self.start(*arguments, environment=environment) as running:
            actual = running.wait()
        assert actual == status, f"exit status {actual}, not {status}\n{running.evidence()}"
        return running


def adopted(out: str, client: knit.Client, applications: Applications) -> knit.Application:
    """The application whose ID was printed, and nothing else."""
    assert re.fullmatch(APPLICATION_ID.pattern + "\n", out), out
    return applications.adopt(client.application(out.strip()))
