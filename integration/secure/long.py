"""Two applications that are there while everything else ends: with a keytab, and without."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import attrs
import knit

from integration import evidence
from integration.clusters.embedded import EmbeddedCluster
from integration.waiting import wait_until

PROGRAM = Path(__file__).parent / "programs" / "look.py"
SUBMITTER = Path(__file__).parent / "programs" / "submit.py"
PATIENCE = timedelta(minutes=4)


@attrs.frozen
class Long:
    """An application whose containers look at HDFS all the time."""

    app: knit.Application
    notes: Path
    others: Path
    """Where programs that submit note what, and wait for the file ``go``."""

    def told(self, rank: int) -> list[tuple[int, str]]:
        """What the container at this rank has noted: seconds since its start, and a word."""
        path = self.notes / str(rank)
        lines = path.read_text().splitlines() if path.exists() else []
        return [(int(second), word) for second, word in map(str.split, lines)]

    def wait_for(self, rank: int, word: str, seconds: int = 0) -> None:
        """Wait until it has noted this word so late."""
        wait_until(
            lambda: any(found == word and at >= seconds for at, found in self.told(rank)),
            what=f"{self.app.application_id}/{rank} does not say {word!r} after {seconds} s",
            timeout=PATIENCE,
            evidence=lambda: f"{self.told(rank)[-20:]}\n{evidence.of(self.app)}",
        )

    def submitted(self, name: str) -> list[list[str]]:
        """What the service of this name, or the driver, has submitted: IDs, and how they ended."""
        path = self.others / f"submitted.{name}"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line.split(maxsplit=1) for line in lines]


@attrs.frozen
class Both:
    """The two of them."""

    with_keytab: Long
    without: Long


@contextmanager
def started(cluster: EmbeddedCluster, client: knit.Client, directory: Path) -> Iterator[Both]:
    """Both, each with one container that looks; that with a keytab has a driver that submits."""
    keytab = str(cluster.keytab(cluster.user))
    directory.joinpath("with").mkdir()
    driver = submitter(cluster, directory / "with")
    with_keytab = _submit(
        cluster,
        client,
        directory / "with",
        keytab=keytab,
        application_master=knit.Resources(memory="1 GiB"),
        driver=knit.Driver(
            driver.command,
            environment=driver.environment,
            files=[SUBMITTER],
            resource_manager_token=True,
        ),
    )
    without = _submit(cluster, client, directory / "without")
    with with_keytab.app, without.app:
        for each in (with_keytab, without):
            each.wait_for(0, "ok")
        yield Both(with_keytab, without)


def submitter(cluster: EmbeddedCluster, others: Path) -> knit.Service:
    """A service that submits once there is a file ``go`` in a directory, without any ticket."""
    environment = cluster.environment(cluster.user)
    return knit.Service(
        shlex.join([sys.executable, SUBMITTER.name, str(others)]),
        files=[SUBMITTER],
        environment={
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            "HADOOP_CONF_DIR": environment["HADOOP_CONF_DIR"],
            "KRB5_CONFIG": environment["KRB5_CONFIG"],
            "KRB5CCNAME": f"FILE:{others / 'nobody'}",
        },
        # A node counts virtual memory, of which each thread takes some.
        resources=knit.Resources(memory="512 MiB"),
        resource_manager_token=True,
    )


def _submit(cluster: EmbeddedCluster, client: knit.Client, others: Path, **fields: object) -> Long:
    notes = others / "notes"
    notes.mkdir(parents=True)
    words = [sys.executable, PROGRAM.name, cluster.name_node_url, str(cluster.ca_file), str(notes)]
    service = knit.Service(
        shlex.join(words),
        files=[PROGRAM],
        environment={"PYTHONPATH": os.environ.get("PYTHONPATH", "")},
        resources=knit.Resources(memory="192 MiB"),
    )
    spec = knit.ApplicationSpec("long", {"worker": service}, **fields)  # type: ignore[arg-type]
    return Long(client.submit(spec), notes, others)
