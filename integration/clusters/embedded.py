"""
A real Hadoop cluster on this machine: one process per daemon, gone when it ends.

    python -m integration.clusters.embedded [--secure] [--ha] [--web=default|simple] [--nodes=N]

starts it, prints the lines that make it a shell's cluster, and takes it down on Ctrl-C.
"""

from __future__ import annotations

import getpass
import itertools
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from integration.clusters import configuration, high_availability, kms, rest, spnego
from integration.clusters.cluster import Cluster
from integration.clusters.daemon_java import daemon_environment, daemon_java, hadoop_flags
from integration.clusters.daemons import Daemons, EmbeddedClusterError, PortTakenError
from integration.clusters.hadoop_daemons import MAIN_CLASSES, launch_of
from integration.clusters.high_availability import NAME_NODE_IDS, ZOOKEEPER
from integration.clusters.jars import hadoop_jars, hadoop_version
from integration.clusters.kdc import KDC
from integration.clusters.kms import KMS
from integration.clusters.processes import Processes
from integration.clusters.security import USERS, Security, Web, service
from integration.clusters.shared import ClusterAddress
from integration.clusters.site import (
    DATA_NODE,
    NAME_NODE,
    NODE_MANAGER,
    RESOURCE_MANAGER,
    Settings,
    Site,
)
from integration.clusters.tls import TlsError

__all__ = ["EMBEDDED", "EmbeddedCluster", "EmbeddedClusterError"]

EMBEDDED = "embedded"
"""Its name, by which a worker that shares it knows it too."""

_FORMAT = "format"


class EmbeddedCluster(Cluster):
    """
    A Hadoop in a directory and on ports of its own: HDFS, YARN, and what else is asked for.

    All of it ends with the ``with`` block, and also if this process is killed.

    Daemons have names: ``namenode``, ``datanode``, ``resourcemanager``, ``nodemanager-1`` and so
    on; with ``is_ha`` ``namenode-1`` and ``-2``, ``resourcemanager-1`` and ``-2``, ``zookeeper``;
    with ``security`` ``kdc``, and ``kms`` where that is asked for.

    Args:
        node_count: how many NodeManagers there are at first.
        version: of Hadoop.
        yarn: properties for ``yarn-site.xml``, over those that all clusters here have.
        node_memory_mib: what each node offers, by default Hadoop's own.
        security: Kerberos, of this kind; None: whoever claims a name has it.
        is_ha: two ResourceManagers that settle by ZooKeeper who is active, two NameNodes of which
            the first is active until another is made so, and NodeManagers that find their
            containers again.
        say: told what happens, a line at a time.
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
        security: Security | None = None,
        is_ha: bool = False,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        # Under Kerberos nobody is who the operating system says.
        self.user = getpass.getuser() if security is None else USERS[0]
        self.hadoop_version = version or hadoop_version()
        self.security = security
        self.is_ha = is_ha
        self._settings = Settings(yarn or {}, security, is_ha, node_memory_mib)
        self._node_count = node_count
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
            self._superuser, self._active_name_node(), f"/user/{user}", owner=user, permission="700"
        )

    # -- who uses it

    @property
    def users(self) -> Sequence[str]:
        """Users with a home in HDFS and, under Kerberos, a keytab."""
        return self._site.users

    @property
    def name_node_url(self) -> str:
        """Of the web server of the NameNode that is active, or that was at first."""
        return self._active_name_node()

    @property
    def active_resource_manager_url(self) -> str:
        """Of the web server of the ResourceManager that is active, or of the first."""
        return self._site.url(self.active_resource_manager() or self._site.resource_managers[0])

    def environment(self, user: str) -> Mapping[str, str]:
        """
        The variables that make a process this user's, with this cluster for its own.

        Under Kerberos of all users that have a keytab: who has started the cluster, alice and bob.
        """
        whose = {"HADOOP_USER_NAME": user}
        if self.security is not None:
            whose = dict(self._site.kdc.environment(user))
        return {"HADOOP_CONF_DIR": str(self.conf_dir), **whose}

    def keytab(self, user: str) -> Path:
        """A user's keytab, or of a service such as ``nn/localhost``."""
        return self._site.kdc.keytab(user)

    @property
    def krb5_conf(self) -> Path:
        """What Kerberos' libraries read."""
        return self._site.kdc.krb5_conf

    @property
    def ca_file(self) -> Path | None:
        """The authority of its web servers, as PEM; None where they speak no TLS."""
        is_https = self.security is not None and self.security.is_https
        return self._site.tls.ca_file if is_https else None

    @property
    def kms_url(self) -> str:
        """Of the KMS that keeps keys for it, where there is one."""
        assert self.security is not None
        return kms.url(self.security, self._site.ports[KMS])

    def session(self, user: str) -> rest.Session:
        """HTTP as this user, or as a service such as ``nn/localhost``."""
        if self.security is None:
            return rest.Session(user)
        return rest.Session(
            None if self.security.web is Web.KERBEROS else user.partition("/")[0],
            ca_file=self.ca_file,
            # Before Hadoop 3.3 HDFS' web servers want tickets whatever the others do.
            negotiate=lambda host: spnego.negotiate(host, self._site.kdc.environment(user)),
        )

    # -- its daemons

    def daemons(self) -> list[str]:
        """The names of all that run."""
        return [name for name in self._daemons.names() if self._daemons.is_running(name)]

    def kill(self, name: str) -> None:
        """Kill a daemon at once, but not the containers of a NodeManager."""
        self._daemons.kill(name)

    def start(self, name: str) -> None:
        """Start a daemon that was killed; ``wait_until_ready`` waits until it is of use."""
        self._daemons.start(name)
        if name == KDC:
            self._site.kdc.wait(self._daemons)

    def activate(self, name: str) -> None:
        """Make a NameNode of two the active one; the other must be dead, or on standby."""
        number = self._site.name_nodes.index(name)
        self._daemons.wait(
            lambda: self._make_active(number), what=f"{name} did not become active", names=[name]
        )

    def active_name_node(self) -> str | None:
        """The name of the NameNode that is active; None while none is."""
        return self._active(self._site.name_nodes, rest.name_node_state)

    def active_resource_manager(self) -> str | None:
        """The name of the ResourceManager that is active; None while none is."""
        return self._active(self._site.resource_managers, rest.resource_manager_state)

    def wait_until_ready(self) -> None:
        """Wait until HDFS and YARN are of use, with a DataNode and as many nodes as run."""
        with ThreadPoolExecutor() as pool:
            for done in [pool.submit(self._wait_for_hdfs), pool.submit(self._wait_for_yarn)]:
                done.result()

    def stop_node(self, node_id: str) -> None:
        self._daemons.kill_machine(self.node_manager(node_id))

    def suspend_node(self, node_id: str) -> None:
        self._daemons.signal(self.node_manager(node_id), signal.SIGSTOP)

    def resume_node(self, node_id: str) -> None:
        self._daemons.signal(self.node_manager(node_id), signal.SIGCONT)

    def start_node(self, memory_mib: int | None = None) -> None:
        """Start a node, by default of the same size as the others, and wait until it is RUNNING."""
        known = {node.node_id for node in self.nodes()}
        name = self._start_node_manager(memory_mib)
        self._daemons.wait(
            lambda: {node.node_id for node in self.nodes()} - known,
            what=f"{name} did not register with the ResourceManager",
            names=[name, *self._running(RESOURCE_MANAGER)],
        )

    def node_manager(self, node_id: str) -> str:
        """The name of the daemon that is this node."""
        port = node_id.rpartition(":")[2]
        started = re.compile(rf"ContainerManager started at .*:{port}$", re.MULTILINE)
        for name in self._running(NODE_MANAGER):
            if started.search(self._daemons.said(name)):
                return name
        raise EmbeddedClusterError(f"This cluster has no node {node_id}")

    def run_tool(
        self, main_class: str, *arguments: str, user: str, conf_dir: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """
        Run a program of Hadoop's own to its end.

        Args:
            main_class: which.
            user: as whom, by keytab, where there is Kerberos: a user, or such as ``nn/localhost``.
            conf_dir: another configuration than that of clients.
        """
        conf_dir = conf_dir or self.conf_dir
        version, kdc = self.hadoop_version, self._site.kdc
        whose = {} if self.security is None else kdc.environment_of_tools(user, version)
        return subprocess.run(
            [*self._hadoop_command(str(conf_dir)), main_class, *arguments],
            env={**daemon_environment(self._java, conf_dir), **whose},
            capture_output=True,
            text=True,
            check=False,
        )

    def said(self, name: str) -> str:
        """All that a daemon has written to its log so far."""
        return self._daemons.said(name)

    def evidence(self) -> str:
        return self._daemons.evidence()

    @property
    def address(self) -> ClusterAddress:
        """What another process needs to use it, where it has no Kerberos and one of each daemon."""
        assert self.security is None, "workers share no cluster with Kerberos"
        assert not self.is_ha, "workers share no cluster with two of each daemon"
        return ClusterAddress(
            name=self.name,
            hadoop_version=self.hadoop_version,
            superuser=getpass.getuser(),
            conf_dir=str(self.conf_dir),
            logs_dir=str(self._daemons.logs),
            name_node_url=self._site.url(NAME_NODE),
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
        self._daemons = Daemons(self.directory, self._java, self._processes)

    def _start(self) -> None:
        began = time.monotonic()
        self._say(f"Starting Hadoop {self.hadoop_version} in {self.directory}")
        self._site = site = Site(self.directory, self._jars, self._settings)
        self.conf_dir = site.conf_dir
        self.resource_manager_url = site.url(site.resource_managers[0])
        site.write_for_clients()
        self.hadoop_command = self._hadoop_command("$HADOOP_CONF_DIR")
        if self.is_ha:
            port, data = str(site.ports[ZOOKEEPER]), str(self.directory / ZOOKEEPER / "data")
            self._start_hadoop(ZOOKEEPER, ZOOKEEPER, port, data)
        if self.security is not None:
            self._start_security(self.security)
        superuser = getpass.getuser() if self.security is None else service("nn")
        self._superuser = self.session(superuser)
        # HDFS is the longer way, and begins with this.
        first = site.name_nodes[0]
        self._start_hadoop(
            _FORMAT,
            NAME_NODE,
            *("-format", "-nonInteractive"),
            conf_dir=site.write_for_name_node(first),
        )
        for _ in range(self._node_count):
            self._start_node_manager()
        for name in site.resource_managers:
            conf_dir = site.write_for_resource_manager(name)
            self._start_hadoop(name, RESOURCE_MANAGER, conf_dir=conf_dir)
        self._start_hadoop(DATA_NODE, DATA_NODE)
        with ThreadPoolExecutor() as pool:
            for done in [pool.submit(self._start_hdfs), pool.submit(self._start_yarn)]:
                done.result()
        self._say(f"The cluster is up after {time.monotonic() - began:.1f} s")

    def _hadoop_command(self, conf_dir: str) -> list[str]:
        command = [str(self._java / "bin" / "java"), *hadoop_flags(self._java, self.hadoop_version)]
        if self.security is not None:
            command.append(f"-Djava.security.krb5.conf={self.krb5_conf}")
        return [*command, "-cp", f"{conf_dir}:{self._jars}/*"]

    def _start_security(self, security: Security) -> None:
        with ThreadPoolExecutor() as pool:
            steps = [pool.submit(self._site.kdc.start, self._daemons)]
            if security.is_https:
                steps.append(pool.submit(self._site.tls.make))
            try:
                for done in steps:
                    done.result()
            except TlsError as error:
                raise EmbeddedClusterError(str(error)) from error
        if security.has_kms:
            self._start_hadoop(KMS, KMS, conf_dir=self._site.write_for_kms())

    def _start_hdfs(self) -> None:
        self._daemons.wait(
            lambda: self._daemons.status(_FORMAT) is not None,
            what="the NameNode's directory was not formatted",
            names=[_FORMAT],
        )
        first, *others = self._site.name_nodes
        for name in others:
            # As good as -bootstrapStandby, and no JVM: nothing has been written since.
            source, target = map(self._site.name_directory, (first, name))
            shutil.copytree(source, target)
        for name in self._site.name_nodes:
            conf_dir = self._site.write_for_name_node(name)
            self._start_hadoop(name, NAME_NODE, conf_dir=conf_dir)
        if others:
            self.activate(first)
        self._wait_for_hdfs()
        self._make_directories()
        if self.security is not None and self.security.has_kms:
            self._wait_for_kms()
        self._say("HDFS is ready")

    def _start_yarn(self) -> None:
        self._wait_for_yarn()
        self._say("YARN is ready")

    def _make_directories(self) -> None:
        url = self._active_name_node()
        owner = getpass.getuser() if self.security is None else "nn"
        rest.make_base_directories(self._superuser, url, owner=owner)
        if self.security is not None:
            # Without Kerberos a NodeManager makes it itself, as the superuser that it is.
            rest.make_hdfs_directory(
                self._superuser, url, "/tmp/logs", owner="nm", permission="1777"
            )
        for user in self._site.users:
            self.create_home(user)

    def _wait_for_kms(self) -> None:
        self._daemons.wait(
            lambda: rest.answers(f"{self.kms_url}/v1/keys/names", session=self._superuser),
            what="the KMS does not answer",
            names=[KMS],
        )

    def _wait_for_hdfs(self) -> None:
        self._daemons.wait(
            lambda: any(
                rest.name_node_is_ready(self._site.url(name), data_nodes=1, session=self._superuser)
                for name in self._site.name_nodes
            ),
            what="no NameNode is active, out of safe mode and with a DataNode",
            names=[*self._running(NAME_NODE), DATA_NODE],
        )

    def _wait_for_yarn(self) -> None:
        nodes = self._running(NODE_MANAGER)
        self._daemons.wait(
            lambda: any(
                rest.resource_manager_is_ready(
                    self._site.url(name), nodes=len(nodes), session=self._superuser
                )
                for name in self._site.resource_managers
            ),
            what=f"no ResourceManager is active and sees {len(nodes)} NodeManagers",
            names=[*self._running(RESOURCE_MANAGER), *nodes],
        )

    def _running(self, kind: str) -> list[str]:
        """The daemons of a kind that run."""
        return [name for name in self.daemons() if re.fullmatch(rf"{kind}(-\d+)?", name)]

    # -- who is active

    def _active(self, names: Sequence[str], state: Callable[..., str | None]) -> str | None:
        for name in names:
            found = state(self._site.url(name), session=self._superuser)
            if found is not None and found.upper() == "ACTIVE":
                return name
        return None

    def _active_name_node(self) -> str:
        return self._site.url(self.active_name_node() or self._site.name_nodes[0])

    def _resource_manager(self) -> tuple[str, rest.Session]:
        return self.active_resource_manager_url, self._superuser

    def _make_active(self, number: int) -> bool:
        asked = self.run_tool(
            high_availability.HDFS_ADMINISTRATION,
            "-transitionToActive",
            "--forceactive",  # the other one may be gone, and cannot be asked
            NAME_NODE_IDS[number],
            user=service("nn"),
            conf_dir=self._site.conf_dir_of(self._site.name_nodes[number]),
        )
        return asked.returncode == 0

    # -- daemons

    def _start_node_manager(self, memory_mib: int | None = None) -> str:
        name = f"{NODE_MANAGER}-{next(self._node_numbers)}"
        conf_dir = self._site.write_for_node_manager(name, self._daemons.logs, memory_mib)
        self._start_hadoop(name, NODE_MANAGER, conf_dir=conf_dir)
        return name

    def _start_hadoop(
        self, name: str, kind: str, *arguments: str, conf_dir: Path | None = None
    ) -> None:
        conf_dir = conf_dir or self.conf_dir
        launch = launch_of(kind, self._site, self._java, self.hadoop_version, conf_dir)
        self._daemons.start_java(
            name,
            MAIN_CLASSES[kind],
            *arguments,
            class_path=os.pathsep.join(launch.class_path),
            flags=launch.flags,
            conf_dir=conf_dir,
            environment=launch.environment,
        )


if __name__ == "__main__":
    from integration.clusters.embedded_command import main

    main()
