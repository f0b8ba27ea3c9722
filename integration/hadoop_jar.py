"""`hadoop jar knit.jar`, as a process of its own: the client for the JVM."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs
from knit._client import JAR

from integration.clusters import Cluster
from integration.clusters.embedded import java_flags
from integration.command_line import Running

MAIN_CLASS = "io.continuum.knit.Client"
_RUN_JAR = "org.apache.hadoop.util.RunJar"


@attrs.frozen
class HadoopJar:
    """
    Starts the client on a cluster, with the cluster's own class path.

    The command `hadoop jar` sets that, and then runs `RunJar` as it is run here; it need not be
    installed for this.
    """

    cluster: Cluster
    class_path: str
    """The configuration first; a test may have another one than the cluster's."""

    @classmethod
    def of(cls, cluster: Cluster) -> HadoopJar:
        return cls(cluster, cluster.class_path)

    def with_configuration(self, conf_dir: Path) -> HadoopJar:
        """The same program with the configuration of another directory."""
        return attrs.evolve(self, class_path=f"{conf_dir}:{self.class_path}")

    @contextlib.contextmanager
    def start(
        self, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> Iterator[Running]:
        """Start it; it does not outlive the block."""
        with tempfile.TemporaryDirectory(prefix="knit-unjar-") as temporary:
            command = [
                str(self.cluster.java / "bin" / "java"),
                *java_flags(self.cluster.java),
                f"-Djava.io.tmpdir={temporary}",
                "-cp",
                self.class_path,
                _RUN_JAR,
                str(JAR),
                *arguments,
            ]
            process = subprocess.Popen(
                command,
                env={
                    **os.environ,
                    "LANG": "C.UTF-8",
                    "LC_ALL": "C.UTF-8",
                    "HADOOP_CONF_DIR": str(self.cluster.conf_dir),
                    "HADOOP_USER_NAME": self.cluster.user,
                    **(environment or {}),
                },
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            try:
                yield Running(process)
            finally:
                process.kill()
                process.wait()

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
