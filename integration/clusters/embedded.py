"""
A real Hadoop cluster on this machine: one process per daemon, gone when it ends.

    python -m integration.clusters.embedded

starts it, prints the line that makes it a shell's cluster, and takes it down on Ctrl-C.
"""

from __future__ import annotations

import argparse
import contextlib
import getpass
import itertools
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

from integration import toolchain
from integration.clusters import configuration, rest
from integration.clusters.cluster import Cluster
from integration.clusters.daemon_java import daemon_environment, daemon_flags, daemon_java
from integration.clusters.free_ports import free_ports
from integration.clusters.jars import hadoop_jars, hadoop_version
from integration.clusters.processes import Processes
from integration.clusters.shared import ClusterAddress
from integration.waiting import wait_until

EMBEDDED = "embedded"
"""Its name, by which a worker that shares it knows it too."""

NAME_NODE = "namenode"
DATA_NODE = "datanode"
RESOURCE_MANAGER = "resourcemanager"
RM_IDS = ("rm1", "rm2")
"""What the ResourceManagers of a pair are called."""

ADMINISTRATION = "org.apache.hadoop.yarn.client.cli.RMAdminCLI"

MAIN_CLASSES = {
    NAME_NODE: "org.apache.hadoop.hdfs.server.namenode.NameNode",
    DATA_NODE: "org.apache.hadoop.hdfs.server.datanode.DataNode",
    RESOURCE_MANAGER: "org.apache.hadoop.yarn.server.resourcemanager.ResourceManager",
    "nodemanager": "org.apache.hadoop.yarn.server.nodemanager.NodeManager",
}
RM_ADDRESSES = (
    "address",
    "resource-tracker.address",
    "scheduler.address",
    "admin.address",
    "webapp.address",
)
"""What a ResourceManager listens on, as its properties end."""

HEAPS = {NAME_NODE: "-Xmx128m", DATA_NODE: "-Xmx128m", RESOURCE_MANAGER: "-Xmx256m"}
NODE_MANAGER_HEAP = "-Xmx192m"


class EmbeddedClusterError(Exception):
    """The cluster cannot be started; the message says why, and what its daemons said last."""


class PortTakenError(EmbeddedClusterError):
    """A daemon found its port taken by somebody else; other ports may do."""


class EmbeddedCluster(Cluster):
    """
    NameNode, DataNode, ResourceManager and NodeManagers, in a directory and on ports of their own.

    All of it ends with the ``with`` block, and also if this process is killed. ``yarn`` are
    properties for ``yarn-site.xml``, over those that all clusters here have; ``node_memory_mib``
    is what each node offers, by default Hadoop's own. With ``is_pair`` there are two
    ResourceManagers that keep their state in a directory both know, and the first is active.
    """

    name = EMBEDDED
    can_stop_nodes = True

    def __init__(
        self,
        *,
        node_count: int = 1,
        version: str | None = None,
        yarn: configuration.Properties | None = None,
        node_memory_mib: int | None = None,
        is_pair: bool = False,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.user = getpass.getuser()
        self.hadoop_version = version or hadoop_version()
        self._node_count = node_count
        self._yarn = yarn or {}
        self._node_memory_mib = node_memory_mib
        self._resource_managers = [RESOURCE_MANAGER]
        if is_pair:
            self._resource_managers = [f"{RESOURCE_MANAGER}-{rm_id}" for rm_id in RM_IDS]
        self._say = say
        self._node_numbers = itertools.count(1)

    def __enter__(self) -> EmbeddedCluster:
        """
        Start the cluster and wait until it is of use.

        Raises:
            ToolchainError: no JDK, or nothing to download Hadoop with.
            EmbeddedClusterError: a daemon did not start.
        """
        self._java = daemon_java(self.hadoop_version)
        self._jars = hadoop_jars(self.hadoop_version)
        for attempts_left in (2, 1, 0):
            self._make_directory()
            try:
                self._start()
                return self
            except PortTakenError:
                self._processes.end(keep_logs=False)
                if not attempts_left:
                    raise
                self._say("A port was taken meanwhile; starting again on others")
            except BaseException as error:
                self._processes.end(keep_logs=isinstance(error, Exception))
                raise
        raise AssertionError

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self, *, keep_logs: bool = False) -> None:
        """Kill everything and remove the directory, but for ``logs`` if they are to be kept."""
        self._processes.end(keep_logs=keep_logs)

    def create_home(self, user: str) -> None:
        rest.make_hdfs_directory(
            self.name_node_url,
            f"/user/{user}",
            superuser=self.user,
            owner=user,
            permission="700",
        )

    def stop_node(self, node_id: str) -> None:
        self._processes.kill(self._node_manager(node_id))

    def suspend_node(self, node_id: str) -> None:
        self._processes.signal(self._node_manager(node_id), signal.SIGSTOP)

    def resume_node(self, node_id: str) -> None:
        self._processes.signal(self._node_manager(node_id), signal.SIGCONT)

    def start_node(self, memory_mib: int | None = None) -> None:
        """Start a node, by default of the same size as the others, and wait until it is RUNNING."""
        known = {node.node_id for node in self.nodes()}
        name = self._start_node_manager(memory_mib)
        self._wait(
            lambda: {node.node_id for node in self.nodes()} - known,
            what=f"{name} did not register with the ResourceManager",
            daemons=[name, self._resource_managers[self._active]],
        )

    def kill_resource_manager(self, number: int = 0) -> None:
        """Let a ResourceManager vanish."""
        self._processes.kill(self._resource_managers[number])

    def start_resource_manager(self, number: int = 0) -> None:
        """Start a ResourceManager that was killed; one of a pair waits to be made active."""
        self._start_resource_manager(self._resource_managers[number])

    def activate_resource_manager(self, number: int) -> None:
        """Make this one of a pair the active one, once it answers; the other must not be."""
        name = self._resource_managers[number]
        self._active = number
        self.resource_manager_url = self._resource_manager_url(number)

        def is_active() -> bool:
            asked = subprocess.run(
                [
                    str(self._java / "bin" / "java"),
                    *daemon_flags(self._java),
                    "-cp",
                    f"{self.conf_dir}:{self._jars}/*",
                    ADMINISTRATION,
                    "-transitionToActive",
                    "--forceactive",  # the other one is gone, and cannot be asked
                    RM_IDS[number],
                ],
                env=daemon_environment(self._java, self.conf_dir),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=False,
            )
            return asked.returncode == 0

        self._wait(is_active, what=f"{name} did not become active", daemons=[name])

    def evidence(self) -> str:
        return "\n".join(self._tail(name) for name in self._processes.statuses())

    @property
    def address(self) -> ClusterAddress:
        """What another process needs to use it."""
        return ClusterAddress(
            name=self.name,
            hadoop_version=self.hadoop_version,
            superuser=self.user,
            conf_dir=str(self.conf_dir),
            logs_dir=str(self._logs),
            name_node_url=self.name_node_url,
            resource_manager_url=self.resource_manager_url,
            hadoop_command=self.hadoop_command,
        )

    # -- starting

    def _make_directory(self) -> None:
        """Make a directory, and the supervisor that will remove it."""
        self.directory = Path(tempfile.mkdtemp(prefix="knit-cluster-"))
        try:
            self._processes = Processes(self.directory)
        except OSError as error:
            shutil.rmtree(self.directory)
            raise EmbeddedClusterError(
                f"The process that watches over the cluster cannot be started: {error}"
            ) from error
        self.directory.chmod(0o755)
        self.conf_dir = self.directory / "conf"
        self._logs = self.directory / "logs"
        self._logs.mkdir()

    def _start(self) -> None:
        began = time.monotonic()
        self._say(f"Starting Hadoop {self.hadoop_version} in {self.directory}")
        ports = free_ports(2 + len(RM_ADDRESSES) * len(self._resource_managers))
        self._name_node, self._name_node_http, *self._resource_manager_ports = ports
        self._active = 0
        self.name_node_url = f"http://localhost:{self._name_node_http}"
        self.resource_manager_url = self._resource_manager_url(self._active)
        self._configure(self.conf_dir)
        self.hadoop_command = [
            str(self._java / "bin" / "java"),
            *daemon_flags(self._java),
            "-cp",
            f"$HADOOP_CONF_DIR:{self._jars}/*",
        ]

        for _ in range(self._node_count):
            self._start_node_manager()
        for name in self._resource_managers:
            self._start_resource_manager(name)
        self._start_daemon(DATA_NODE)
        self._start_daemon("format", NAME_NODE, "-format", "-nonInteractive")
        with ThreadPoolExecutor() as pool:
            for done in [pool.submit(self._wait_for_hdfs), pool.submit(self._wait_for_yarn)]:
                done.result()
        self._say(f"The cluster is up after {time.monotonic() - began:.1f} s")

    def _wait_for_hdfs(self) -> None:
        self._wait(
            lambda: self._processes.statuses()["format"] is not None,
            what="the NameNode's directory was not formatted",
            daemons=["format"],
        )
        self._start_daemon(NAME_NODE)
        self._wait(
            lambda: rest.name_node_is_ready(self.name_node_url, data_nodes=1),
            what="the NameNode did not leave safe mode with a DataNode",
            daemons=[NAME_NODE, DATA_NODE],
        )
        rest.make_base_directories(self.name_node_url, superuser=self.user)
        self.create_home(self.user)
        self._say("HDFS is ready")

    def _wait_for_yarn(self) -> None:
        if len(self._resource_managers) > 1:
            self.activate_resource_manager(self._active)
        self._wait(
            lambda: rest.resource_manager_is_ready(
                self.resource_manager_url, nodes=self._node_count
            ),
            what=f"the ResourceManager did not see {self._node_count} NodeManagers",
            daemons=[self._resource_managers[self._active], *self._node_managers()],
        )
        self._say("YARN is ready")

    def _wait(self, condition: Callable[[], object], *, what: str, daemons: list[str]) -> None:
        """Wait, but no longer than the daemons it depends on are alive."""

        def holds() -> object:
            answer = condition()
            statuses = self._processes.statuses()
            for name in ("format", *daemons):
                if statuses.get(name) and not answer:
                    raise self._ended(name)
            return answer

        wait_until(
            holds,
            what=what,
            timeout=timedelta(minutes=3),
            evidence=lambda: "\n".join(map(self._tail, daemons)),
        )

    def _ended(self, name: str) -> EmbeddedClusterError:
        said = self._tail(name)
        kind = PortTakenError if "java.net.BindException" in said else EmbeddedClusterError
        return kind(f"{name} ended by itself. {said}")

    def _tail(self, name: str) -> str:
        log = self._log(name)
        lines = (
            log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
        )
        return "\n".join([f"Last lines of {log}:", *(f"  {line}" for line in lines[-40:])])

    def _log(self, name: str) -> Path:
        return self._logs / f"{name}.log"

    # -- daemons

    def _start_resource_manager(self, name: str) -> None:
        if name == RESOURCE_MANAGER:
            self._start_daemon(name)
            return
        conf_dir = self.directory / name / "conf"
        rm_id = name.removeprefix(f"{RESOURCE_MANAGER}-")
        self._configure(conf_dir, {"yarn.resourcemanager.ha.id": rm_id})
        self._start_daemon(name, RESOURCE_MANAGER, conf_dir=conf_dir)

    def _resource_manager_url(self, number: int) -> str:
        return f"http://{self._resource_manager_addresses(number)['webapp.address']}"

    def _resource_manager_addresses(self, number: int) -> dict[str, str]:
        ports = self._resource_manager_ports[number * len(RM_ADDRESSES) :]
        return {name: f"localhost:{port}" for name, port in zip(RM_ADDRESSES, ports, strict=False)}

    def _resource_manager_properties(self) -> configuration.Properties:
        prefix = "yarn.resourcemanager"
        if len(self._resource_managers) == 1:
            addresses = self._resource_manager_addresses(0)
            return {f"{prefix}.{name}": address for name, address in addresses.items()}
        addresses = {
            f"{prefix}.{name}.{rm_id}": address
            for number, rm_id in enumerate(RM_IDS)
            for name, address in self._resource_manager_addresses(number).items()
        }
        state = self.directory / "resourcemanager-state"
        return {
            **configuration.PAIR,
            **addresses,
            f"{prefix}.ha.rm-ids": ",".join(RM_IDS),
            f"{prefix}.fs.state-store.uri": state.as_uri(),
        }

    def _start_node_manager(self, memory_mib: int | None = None) -> str:
        name = f"nodemanager-{next(self._node_numbers)}"
        memory_mib = memory_mib or self._node_memory_mib
        conf_dir = self.directory / name / "conf"
        self._configure(
            conf_dir,
            {
                # Containers' logs are worth as much as the daemons' when something went wrong.
                "yarn.nodemanager.log-dirs": self._logs / f"{name}-containers",
                "yarn.nodemanager.local-dirs": self.directory / name / "local",
                **({"yarn.nodemanager.resource.memory-mb": memory_mib} if memory_mib else {}),
            },
        )
        self._start_daemon(name, "nodemanager", conf_dir=conf_dir)
        return name

    def _node_managers(self) -> list[str]:
        return [name for name in self._processes.statuses() if name.startswith("nodemanager-")]

    def _node_manager(self, node_id: str) -> str:
        port = node_id.rpartition(":")[2]
        started = re.compile(rf"ContainerManager started at .*:{port}$", re.MULTILINE)
        for name in self._node_managers():
            if started.search(self._log(name).read_text(encoding="utf-8", errors="replace")):
                return name
        raise EmbeddedClusterError(f"This cluster has no node {node_id}")

    def _start_daemon(
        self, name: str, kind: str = "", *arguments: str, conf_dir: Path | None = None
    ) -> None:
        kind = kind or name
        home = self.directory / name
        temporary = home / "tmp"
        temporary.mkdir(parents=True, exist_ok=True)
        # The daemons of HDFS want these in a directory, not in a jar.
        webapps = self.directory / "webapps"
        for webapp in ("hdfs", "datanode"):
            (webapps / "webapps" / webapp).mkdir(parents=True, exist_ok=True)
        conf_dir = conf_dir or self.conf_dir
        self._processes.start(
            name,
            [
                str(self._java / "bin" / "java"),
                *daemon_flags(self._java),
                HEAPS.get(kind, NODE_MANAGER_HEAP),
                f"-Djava.io.tmpdir={temporary}",
                f"-Dhadoop.log.dir={self._logs}",
                "-cp",
                f"{conf_dir}:{webapps}:{self._jars}/*",
                MAIN_CLASSES[kind],
                *arguments,
            ],
            env=daemon_environment(self._java, conf_dir),
            cwd=home,
            log=self._log(name),
        )

    def _configure(self, conf_dir: Path, yarn: configuration.Properties | None = None) -> None:
        configuration.write_configuration(
            conf_dir,
            core={
                "fs.defaultFS": f"hdfs://localhost:{self._name_node}",
                "hadoop.tmp.dir": self.directory / "tmp",
            },
            hdfs={
                **configuration.HDFS,
                "dfs.namenode.http-address": f"localhost:{self._name_node_http}",
                "dfs.namenode.name.dir": (self.directory / NAME_NODE / "name").as_uri(),
                "dfs.datanode.data.dir": (self.directory / DATA_NODE / "data").as_uri(),
                "dfs.datanode.hostname": "localhost",
                "dfs.datanode.address": "localhost:0",
                "dfs.datanode.http.address": "localhost:0",
                "dfs.datanode.ipc.address": "localhost:0",
            },
            yarn={
                **configuration.YARN,
                "yarn.resourcemanager.hostname": "localhost",
                # Several nodes on one host are told apart.
                "yarn.scheduler.include-port-in-node-name": "true",
                **self._resource_manager_properties(),
                "yarn.nodemanager.address": "localhost:0",
                "yarn.nodemanager.localizer.address": "localhost:0",
                "yarn.nodemanager.webapp.address": "localhost:0",
                "yarn.application.classpath": f"{conf_dir},{self._jars}/*",
                **self._yarn,
                **(yarn or {}),
            },
            capacity_scheduler=configuration.CAPACITY_SCHEDULER,
        )


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Treat SIGTERM and SIGHUP as Ctrl-C."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    with contextlib.suppress(KeyboardInterrupt):
        yield


def main() -> None:
    """Start a cluster, say where it is, and stay until Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="python -m integration.clusters.embedded", description=main.__doc__
    )
    parser.add_argument("--nodes", type=int, default=1, help="number of NodeManagers (1)")
    parser.add_argument("--hadoop-version", default=hadoop_version(), help="(%(default)s)")
    arguments = parser.parse_args()

    def say(line: str) -> None:
        print(line, flush=True)

    try:
        with (
            _ended_by_signals(),
            EmbeddedCluster(
                node_count=arguments.nodes, version=arguments.hadoop_version, say=say
            ) as cluster,
        ):
            say(f"ResourceManager {cluster.resource_manager_url}")
            say(f"NameNode        {cluster.name_node_url}")
            say(f"export HADOOP_CONF_DIR={shlex.quote(str(cluster.conf_dir))}")
            say("Ctrl-C takes it down.")
            while True:
                signal.pause()
    except (toolchain.ToolchainError, EmbeddedClusterError, AssertionError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
