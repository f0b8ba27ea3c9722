"""The image of the dockerized cluster, built again only where something in it has changed."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from integration.clusters import configuration, docker_secure
from integration.clusters.jars import ROOT, hadoop_jars
from integration.clusters.java_classes import node_classes

REPOSITORY = "knit-hadoop"
PUBLIC_BASE = "debian:bookworm-slim"
JAVA = "default-jre-headless"
OWN_BASE = "knit-base:latest"
NODE_MEMORY_MIB = 4096
"""What YARN may grant on each node."""
NODE_MANAGER_MEMORY_MIB = 512
"""What the daemon itself takes there at most: twice its heap, and room for its shells."""

_DOCKER = ROOT / "docker"


class DockerError(Exception):
    """The engine could not do it; the message holds what it said."""


def docker(*arguments: str) -> str:
    """Run the docker command and return what it said."""
    # The classic builder needs no plug-in, and finds a base of our own among the engine's images.
    answer = subprocess.run(
        ["docker", *arguments],
        env={**os.environ, "DOCKER_BUILDKIT": "0"},
        capture_output=True,
        text=True,
    )
    if answer.returncode != 0:
        said = "\n".join((answer.stdout + answer.stderr).splitlines()[-40:])
        raise DockerError(f"docker {' '.join(arguments)} failed:\n{said}")
    return answer.stdout


def hadoop_image(version: str, say: Callable[[str], None]) -> str:
    """
    Return the name of the image for that version of Hadoop, built if it is not there.

    ``$KNIT_BASE_IMAGE`` names another base, a Debian or Ubuntu, and ``$KNIT_JAVA`` the package of
    the Java in it: an old Hadoop needs an old Java.

    Raises:
        ToolchainError: Hadoop's jars could not be downloaded.
        DockerError: the image could not be built.
    """
    with tempfile.TemporaryDirectory(prefix="knit-image-") as temporary:
        context = Path(temporary)
        for name in ("Dockerfile", "entrypoint.sh", "krb5.conf", "kdc.conf"):
            shutil.copy(_DOCKER / "hadoop" / name, context)
        _configure(context)
        classes = node_classes(hadoop_jars(version))
        chosen = os.environ.get("KNIT_BASE_IMAGE")
        java = os.environ.get("KNIT_JAVA") or JAVA
        image = f"{REPOSITORY}:{version}-{_digest(context, chosen or '', java, classes.name)}"
        if _is_there(image):
            return image
        _lay_out(hadoop_jars(version), context / "share" / "hadoop")
        shutil.copytree(classes, context / "node-classes")
        base = chosen or _base(say)
        say(f"Building the image {image} with {java} on {base}; this takes a minute or two")
        # A base of our own uses this machine's mirrors, which may be reachable from it only.
        network = ["--network=host"] if base == OWN_BASE else []
        arguments = [f"--build-arg=BASE={base}", f"--build-arg=JAVA={java}", f"--tag={image}"]
        docker("build", *network, *arguments, str(context))
    for older in _images(f"{REPOSITORY}:{version}-*"):
        if older != image:
            subprocess.run(["docker", "image", "rm", older], capture_output=True)
    return image


def _configure(context: Path) -> None:
    """Write the plain configuration, and the one with Kerberos beside it."""
    capacity_scheduler = {
        **configuration.CAPACITY_SCHEDULER,
        **configuration.PARTITIONED_QUEUES,
    }
    for directory, sites in (("conf", _PLAIN), ("conf.secure", docker_secure.secure(**_PLAIN))):
        configuration.write_configuration(
            context / directory, **sites, others={"capacity-scheduler": capacity_scheduler}
        )


_PLAIN: Mapping[str, configuration.Properties] = {
    "core": {"fs.defaultFS": "hdfs://namenode:8020", "hadoop.tmp.dir": "/var/lib/hadoop/tmp"},
    "hdfs": {
        **configuration.HDFS,
        "dfs.namenode.name.dir": "file:///var/lib/hadoop/hdfs/name",
        "dfs.datanode.data.dir": "file:///var/lib/hadoop/hdfs/data",
    },
    "yarn": {
        **configuration.YARN,
        # The embedded cluster writes TFiles, as Hadoop does by default.
        **configuration.IFILE,
        **configuration.PARTITIONS,
        **configuration.PREEMPTION,
        # And the embedded one does not compress them, as Hadoop does not by default.
        "yarn.nodemanager.log-aggregation.compression-type": "gz",
        "yarn.resourcemanager.hostname": "resourcemanager",
        # A node that comes back has the id it had.
        "yarn.nodemanager.address": "0.0.0.0:8041",
        # Three nodes share one machine: half of the default each.
        "yarn.nodemanager.resource.memory-mb": NODE_MEMORY_MIB,
        "yarn.nodemanager.local-dirs": "/var/lib/hadoop/yarn/local",
        "yarn.nodemanager.log-dirs": "/var/lib/hadoop/yarn/logs",
    },
}


def _lay_out(jars: Path, share: Path) -> None:
    """As in Hadoop's distribution: its own jars by part, what they need in common/lib."""
    for jar in sorted(jars.glob("*.jar")):
        part = next(
            (part for part in ("hdfs", "yarn") if jar.name.startswith(f"hadoop-{part}")),
            "common" if jar.name.startswith("hadoop-common") else "common/lib",
        )
        (share / part).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(jar, share / part / jar.name)


def _base(say: Callable[[str], None]) -> str:
    """The public base image, or one made here where no registry can be reached."""
    if _is_there(PUBLIC_BASE):
        return PUBLIC_BASE
    try:
        docker("pull", "--quiet", PUBLIC_BASE)
    except DockerError:
        if not _is_there(OWN_BASE):
            say(f"{PUBLIC_BASE} cannot be pulled; making a base image of this machine's own kind")
            making = subprocess.run(
                [str(_DOCKER / "base.sh"), OWN_BASE], stderr=subprocess.PIPE, text=True
            )
            if making.returncode != 0:
                raise DockerError(making.stderr.strip()) from None
        return OWN_BASE
    return PUBLIC_BASE


def _digest(context: Path, *settings: str) -> str:
    digest = hashlib.sha256("\0".join(settings).encode())
    for path in sorted(path for path in context.rglob("*") if path.is_file()):
        digest.update(path.relative_to(context).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def _is_there(image: str) -> bool:
    return bool(_images(image))


def _images(reference: str) -> Sequence[str]:
    return docker("image", "ls", "--format={{.Repository}}:{{.Tag}}", reference).split()
