"""
The dockerized cluster, from the host: brings it up, runs programs in its client, takes it down.

    python -m integration.clusters.docker_host [--secure] [COMMAND...]

runs a command in the client, knit installed and the repository as its directory; without one it
stays until Ctrl-C and says how to get in.

Programs that use the cluster run in a container of the cluster's own network, since only there the
names that Hadoop hands out (``node-1:8042``) mean something, whatever engine this is. They are
given an unprivileged user's name (``alice``), the repository (read-only), knit's wheel, and the
engine's socket, by which tests stop and start nodes.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from email.parser import Parser
from importlib import metadata
from pathlib import Path
from typing import IO

from integration import toolchain
from integration.clusters.docker_image import (
    NODE_MANAGER_MEMORY_MIB,
    NODE_MEMORY_MIB,
    DockerError,
    docker,
    hadoop_image,
)
from integration.clusters.jars import ROOT, cache_directory, hadoop_version

PROJECT = "knit"
COMPOSE_FILE = ROOT / "docker" / "compose.yaml"
SECURE_COMPOSE_FILE = ROOT / "docker" / "compose.secure.yaml"
"""Beside the other one: a KDC, and the configuration with Kerberos."""
CLIENT_PYTHON = "/tmp/venv/bin/python"
REPOSITORY_IN_CLIENT = "/knit"
TEST_PACKAGES = (
    "pytest",
    "hypothesis",
    "pytest-timeout",
    "pytest-xdist",
    "py-rattler",
    "ipyparallel",
    "distributed",
)


def compose_command() -> str:
    """Compose version 2 (``docker compose``) where it is there, else version 1."""
    plug_in = subprocess.run(["docker", "compose", "version"], capture_output=True)
    if plug_in.returncode == 0:
        return "docker compose"
    if shutil.which("docker-compose"):
        return "docker-compose"
    raise DockerError("Neither `docker compose` nor `docker-compose` is there: install either.")


class Client:
    """The container that programs using the cluster run in."""

    def __init__(self, container: str) -> None:
        self.container = container

    def install(self, requirements: Sequence[str]) -> None:
        """Make a virtual environment with these, from the wheels it was given and nowhere else."""
        docker("exec", self.container, "python3", "-m", "venv", "/tmp/venv")
        docker(
            *("exec", self.container, CLIENT_PYTHON, "-m", "pip", "install", "--quiet"),
            *("--disable-pip-version-check", "--no-index", "--find-links=/wheels", *requirements),
        )

    def start(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        stdout: int | None = None,
        stderr: IO[str] | None = None,
    ) -> subprocess.Popen[str]:
        """Start a program; paths within the repository are translated in its environment."""
        options = [
            f"--env={name}={value.replace(str(ROOT), REPOSITORY_IN_CLIENT)}"
            for name, value in env.items()
        ]
        if stdout is None and sys.stdin.isatty() and sys.stdout.isatty():
            options.append("-it")
        return subprocess.Popen(
            ["docker", "exec", *options, self.container, *command],
            stdout=stdout,
            stderr=stderr,
            text=True,
        )


@contextlib.contextmanager
def dockerized_cluster(
    say: Callable[[str], None],
    *,
    wheel: Path | None = None,
    version: str | None = None,
    extras: Sequence[str] = (),
    secure: bool = False,
) -> Iterator[Client]:
    """
    Bring the cluster up and, whatever happens, take it down again, also if this process is killed.

    Args:
        say: told of each step.
        wheel: knit's, by default the newest in ``dist/``.
        version: of Hadoop, by default that of the embedded cluster.
        extras: names of packages to install in the client beside knit, in the versions that are
            installed here; the latest where they are not.
        secure: with Kerberos.

    Raises:
        DockerError: the engine could not do it.
        ToolchainError: no wheel has been built, or nothing to download Hadoop with.
    """
    from pytest_docker.plugin import get_docker_services

    began = time.monotonic()
    version = version or hadoop_version()
    image = hadoop_image(version, say)
    wheel = wheel or _wheel()
    settings = {
        "KNIT_HADOOP_IMAGE": image,
        "KNIT_HADOOP_VERSION": version,
        "KNIT_COMPOSE_PROJECT": PROJECT,
        "KNIT_REPOSITORY": str(ROOT),
        "KNIT_DIST": str(wheel.parent.resolve()),
        "KNIT_CLIENT_WHEELS": str(_client_wheels(image, wheel, extras, say)),
        "KNIT_DOCKER_SOCKET": _socket(),
        "KNIT_NODE_MEMORY": f"{NODE_MEMORY_MIB + NODE_MANAGER_MEMORY_MIB}m",
    }
    pairs = shlex.join(f"{name}={value}" for name, value in settings.items())
    compose = f"env {pairs} {compose_command()}"
    down = "down --volumes --remove-orphans --timeout 0"
    say("Starting the dockerized cluster")
    with contextlib.ExitStack() as stack:
        files = [str(COMPOSE_FILE), *([str(SECURE_COMPOSE_FILE)] if secure else [])]
        named = shlex.join(part for file in files for part in ("-f", file))
        take_down = f"{compose} {named} -p {PROJECT} {down}"
        stack.enter_context(_afterwards(take_down))
        services = get_docker_services(
            docker_compose_command=compose,
            docker_compose_file=files,
            docker_compose_project_name=PROJECT,
            # The client depends on all others to be healthy: when it is up, they are.
            docker_setup=[down, "up -d"],
            docker_cleanup=[],
        )
        try:
            stack.enter_context(services)
        except Exception as error:  # the plug-in has no class of its own for it
            raise DockerError(f"{error}\n{_last_words()}") from error
        client = Client(_containers()["client"])
        say(f"The cluster is up after {time.monotonic() - began:.1f} s")
        client.install([f"/dist/{wheel.name}", *map(_pinned, extras)])
        yield client


def keep_logs() -> Path:
    """Copy the logs of all daemons and of YARN's containers to a new directory, and return it."""
    directory = Path(tempfile.mkdtemp(prefix="knit-docker-logs-"))
    for service, container in _containers().items():
        with (directory / f"{service}.log").open("wb") as log:
            subprocess.run(["docker", "logs", container], stdout=log, stderr=log)
        if service.startswith("node-"):
            source, target = f"{container}:/var/lib/hadoop/yarn/logs", directory / service
            subprocess.run(["docker", "cp", source, str(target)], capture_output=True)
    return directory


def _last_words() -> str:
    """What the daemons said last that are not well."""
    said = []
    for service, container in _containers().items():
        state = docker(
            "inspect",
            "--format={{.State.Status}}{{with .State.Health}} {{.Status}}{{end}}",
            container,
        ).strip()
        if state in ("running healthy", "created"):
            continue
        log = subprocess.run(
            ["docker", "logs", "--tail=20", container],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        said.append(f"--- {service} ({state}), its last lines:\n{log.stdout.strip()}")
    return "\n".join(said)


def _containers() -> Mapping[str, str]:
    """The id of each of the cluster's containers, by the name of its service."""
    lines = docker(
        *("ps", "--all", f"--filter=label=com.docker.compose.project={PROJECT}"),
        '--format={{.Label "com.docker.compose.service"}} {{.ID}}',
    ).splitlines()
    return {service: container for service, _, container in (line.partition(" ") for line in lines)}


@contextlib.contextmanager
def _afterwards(command: str) -> Iterator[None]:
    """Run a shell command when the block ends, also if it ends because this process is killed."""
    waiting = subprocess.Popen(
        ["/bin/sh", "-c", f"cat >/dev/null; {command} >/dev/null 2>&1"],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    assert waiting.stdin is not None
    try:
        yield
    finally:
        waiting.stdin.close()
        waiting.wait()


def _socket() -> str:
    host = os.environ.get("DOCKER_HOST", "")
    return host.removeprefix("unix://") if host.startswith("unix://") else "/var/run/docker.sock"


def _wheel() -> Path:
    built = sorted((ROOT / "dist").glob("knit_yarn-*.whl"), key=lambda path: path.stat().st_mtime)
    if not built:
        raise toolchain.ToolchainError(
            "There is no wheel in dist/ yet: build it by `nox -s wheel`."
        )
    return built[-1]


def _client_wheels(
    image: str, wheel: Path, extras: Sequence[str], say: Callable[[str], None]
) -> Path:
    """
    A directory with all that knit and the extras need, for the image's Python.

    Downloaded here rather than in the client: here pip knows its index.
    """
    tag, machine = docker(
        *("run", "--rm", "--entrypoint=python3", image, "-c"),
        "import sys, platform; print('%d.%d' % sys.version_info[:2], platform.machine())",
    ).split()
    requirements = sorted([*_requirements(wheel), *map(_pinned, extras)])
    digest = hashlib.sha256("\n".join([tag, machine, *requirements]).encode()).hexdigest()[:12]
    directory = cache_directory() / f"client-{digest}"
    if directory.is_dir():
        return directory
    say(f"Downloading what the client needs, for Python {tag}")
    for older in cache_directory().glob("client-*"):
        shutil.rmtree(older, ignore_errors=True)
    part = Path(tempfile.mkdtemp(prefix=f"{directory.name}.part-", dir=directory.parent))
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in range(17, 36)]
    platforms += [f"manylinux2014_{machine}", f"linux_{machine}"]
    answer = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
            *("--only-binary=:all:", "--implementation=cp", f"--python-version={tag}"),
            *(f"--abi={abi}" for abi in (f"cp{tag.replace('.', '')}", "abi3", "none")),
            *(f"--platform={platform}" for platform in platforms),
            *("--dest", str(part), *requirements),
        ],
        capture_output=True,
        text=True,
    )
    if answer.returncode != 0:
        shutil.rmtree(part)
        raise DockerError(f"pip could not download what the client needs:\n{answer.stderr}")
    part.chmod(0o755)
    part.rename(directory)
    return directory


def _requirements(wheel: Path) -> Sequence[str]:
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        headers = Parser().parsestr(archive.read(name).decode())
    required = headers.get_all("Requires-Dist") or []
    return [each for each in required if "extra ==" not in each]


def _pinned(package: str) -> str:
    try:
        return f"{package}=={metadata.version(package)}"
    except metadata.PackageNotFoundError:
        return package


def main() -> None:
    """Run a command in the cluster's client, or stay until Ctrl-C; --secure: with Kerberos."""
    command = sys.argv[1:]
    secure = command[:1] == ["--secure"]
    del command[: 1 if secure else 0]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))

    def say(line: str) -> None:
        print(line, flush=True)

    try:
        with dockerized_cluster(say, extras=TEST_PACKAGES, secure=secure) as client:
            if command:
                if command[0] == "python":
                    command[0] = CLIENT_PYTHON
                env = {name: value for name, value in os.environ.items() if name[:5] == "KNIT_"}
                sys.exit(client.start(command, env=env).wait())
            say(f"docker exec -it {client.container} bash  # knit is /tmp/venv/bin/knit")
            say("Ctrl-C takes it down.")
            signal.pause()
    except KeyboardInterrupt:
        pass
    except (DockerError, toolchain.ToolchainError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
