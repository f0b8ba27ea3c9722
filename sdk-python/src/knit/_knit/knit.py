"""`Knit`, the class of knit 0.1.1: its names and defaults over `Client`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, overload

from knit._cluster.configuration.config import ClusterConfig
from knit._handles.client import Client
from knit._knit.addresses import DEFAULT_NN, DEFAULT_NN_PORT, DEFAULT_RM, DEFAULT_RM_PORT, Addresses
from knit._knit.logs import ContainerLogs
from knit._values.resources import Resources
from knit._values.services import FailurePolicy, Service
from knit._values.spec import ApplicationSpec
from knit._values.states import FinalStatus, YarnState
from knit.exceptions import (
    ApplicationNotRunningError,
    ConnectionLostError,
    KnitError,
    SpecError,
    WaitTimeoutError,
    WrongStateError,
)

if TYPE_CHECKING:
    from knit._handles.application import Application
    from knit._values.files import FileLike

SERVICE = "worker"
"""What the containers of an application that `Knit` started are called."""


class Knit:
    """
    Runs a command in containers on a YARN cluster, as knit 0.1.1 did.

        k = Knit(autodetect=True)
        app_id = k.start("sleep 100", num_containers=5, memory=1024)

    It is a thin layer over `Client`, which can do more. An object starts one application at a
    time; every other method takes the ID of any application, and by default acts on the last one
    started. Times are in seconds, and memory is in MiB, which Hadoop calls MB.

    Args:
        nn: The NameNode's host.
        nn_port: Its RPC port, as in `fs.defaultFS`. Its web port, which serves WebHDFS, is taken
            from the configuration, or is the usual one.
        rm: The ResourceManager's host.
        rm_port: Its web port.
        autodetect: Whether to take all four from the Hadoop configuration (`$HADOOP_CONF_DIR`).
        validate: Whether those that are given must agree with the configuration, where there is
            one. Those that are not given are taken from it.
        user: Who we are; default: `$HADOOP_USER_NAME`, else the system's user. With Kerberos, whom
            to act for; default: `$HADOOP_PROXY_USER`, else nobody.
        pars: Hadoop's properties that are to hold instead of the configuration's.
        keytab: With Kerberos, a keytab's file. Default: the cache that kinit fills.
        principal: With Kerberos, whose tickets.

    Raises:
        HDFSConfigException: What is given and the configuration disagree.
        ConfigurationError: There is no configuration with `autodetect`, or it is malformed.
    """

    def __init__(
        self,
        nn: str = DEFAULT_NN,
        nn_port: int | str = DEFAULT_NN_PORT,
        rm: str = DEFAULT_RM,
        rm_port: int | str = DEFAULT_RM_PORT,
        autodetect: bool = False,
        validate: bool = True,
        *,
        user: str | None = None,
        pars: Mapping[str, object] | None = None,
        keytab: str | os.PathLike[str] | None = None,
        principal: str | None = None,
    ) -> None:
        config = Addresses.given(nn, nn_port, rm, rm_port).configuration(
            autodetect=autodetect, validate=validate
        )
        if pars:
            config = config.with_properties(pars)
        effective = Addresses.of(config)
        self.nn, self.nn_port = effective.nn, effective.nn_port
        self.rm, self.rm_port = effective.rm, effective.rm_port
        self.client = Client(config, user=user, keytab=keytab, principal=principal)
        """The typed API to the same cluster."""
        self._handles: dict[str, Application] = {}
        self.app_id: str | None = None
        """The application that was started last. None before that."""

    def __repr__(self) -> str:
        return f"Knit<NN={self.nn}:{self.nn_port};RM={self.rm}:{self.rm_port}>"

    def __enter__(self) -> Knit:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes every connection; applications go on. Calling it again is safe."""
        self.client.close()

    @property
    def conf(self) -> ClusterConfig:
        """Where the cluster is."""
        return self.client.config

    def start(
        self,
        cmd: str,
        num_containers: int = 1,
        virtual_cores: int = 1,
        memory: int = 128,
        env: str = "",
        files: Iterable[FileLike] = (),
        app_name: str = "knit",
        queue: str = "default",
        *,
        envvars: Mapping[str, str] | None = None,
    ) -> str:
        """
        Starts a command in containers, each of which runs it once.

        The application succeeds if it ends with exit code 0 in all of them. What cannot run is
        refused before anything is uploaded, and files that are on the cluster already are not
        uploaded again.

        Args:
            cmd: The command, as typed for `bash -c`.
            num_containers: How many containers.
            virtual_cores: Virtual cores of each.
            memory: Memory of each, in MiB.
            env: A Python environment, for `$PYTHON_BIN` and `$CONDA_PREFIX` in the command: an
                archive, as `create_env` returns, or anything that `Service.python_environment`
                takes.
            files: Files of this machine, or URLs of the cluster (`hdfs://…`), for the working
                directory of the command.
            app_name: A name for people.
            queue: The scheduler's queue.
            envvars: Variables for the command.

        Returns:
            The application's ID.

        Raises:
            WrongStateError: The application started before has not ended.
            SpecError: It can run on no cluster: an empty command, a count below 1, a memory that
                is no whole number, a missing file.
            ClusterError: It cannot run on this one; by its kind.
        """
        self._refuse_second_start()
        if not isinstance(memory, int) or isinstance(memory, bool):
            raise SpecError(f"memory is {memory!r}: give a whole number of MiB, such as 128.")
        if not isinstance(num_containers, int) or num_containers < 1:
            raise SpecError(
                f"num_containers is {num_containers!r}: give a whole number, 1 or more."
            )
        service = Service(
            cmd,
            instances=num_containers,
            resources=Resources(memory, virtual_cores),
            files=files,
            environment=envvars or {},
            python_environment=env or None,
            failure_policy=FailurePolicy.FINISH_OTHERS,
        )
        spec = ApplicationSpec(app_name, {SERVICE: service}, queue=queue)
        application = self.client.submit(spec)
        self.app_id = application.application_id
        self._handles[self.app_id] = application
        return self.app_id

    def add_containers(
        self,
        num_containers: int = 1,
        virtual_cores: int = 1,
        memory: int = 128,
        app_id: str | None = None,
    ) -> None:
        """
        Adds containers that run the same command to a running application.

        Args:
            num_containers: How many.
            virtual_cores: Virtual cores of each.
            memory: Memory of each, in MiB.
            app_id: The application. Default: the one started last.

        Raises:
            ApplicationNotRunningError: It has ended.
            ResourcesUnavailableError: No container can be so large.
        """
        resources = Resources(memory, virtual_cores)
        self._application(app_id).add_containers(num_containers, resources=resources)

    def get_containers(self, app_id: str | None = None) -> list[str]:
        """Returns the IDs of the containers that YARN has granted and that have not ended."""
        return [
            container.container_id
            for container in self._application(app_id).containers()
            if container.container_id is not None and not container.state.is_final
        ]

    def get_container_statuses(self, app_id: str | None = None) -> dict[str, str]:
        """Returns the state of every container that was granted, by its ID, such as `RUNNING`."""
        return {
            container.container_id: container.state.name
            for container in self._application(app_id).containers()
            if container.container_id is not None
        }

    def remove_containers(
        self, container_id: str | Iterable[str], app_id: str | None = None
    ) -> None:
        """
        Stops containers for good, and leaves the others alone.

        Raises:
            ContainerNotFoundError: The application never held one of them; none is stopped.
        """
        self._application(app_id).stop_containers(container_id)

    def status(self, app_id: str | None = None) -> dict[str, Any]:
        """
        Returns what the ResourceManager says of an application.

        Returns:
            A dictionary whose key `app` holds the fields, by their names in YARN's REST API.

        Raises:
            ApplicationNotFoundError: YARN does not know it.
        """
        return {"app": dict(self._application(app_id).report().raw)}

    def runtime_status(self, app_id: str | None = None) -> str:
        """
        Returns the state of an application in one word.

        Returns:
            NEW, NEW_SAVING, SUBMITTED, ACCEPTED or RUNNING; once it has ended, how: SUCCEEDED,
            FAILED or KILLED.
        """
        report = self._application(app_id).report()
        if report.final_status in (FinalStatus.UNDEFINED, FinalStatus.UNKNOWN):
            return report.state.name
        return report.final_status.name

    @overload
    def logs(self, app_id: str | None = None, shell: bool = False) -> dict[str, ContainerLogs]: ...

    @overload
    def logs(self, app_id: bool) -> dict[str, ContainerLogs]: ...

    def logs(
        self, app_id: str | bool | None = None, shell: bool = False
    ) -> dict[str, ContainerLogs]:
        """
        Returns what the containers of an application have written, on whichever nodes.

        It works while the application runs and after its end; then it waits until YARN has
        collected them, two minutes at most. `Application.logs` does not hold them all in memory.

        Args:
            app_id: The application. Default: the one started last.
            shell: Whether to return what YARN has collected after the end, the Application
                Master's own logs included, by the `yarn` command where there is one.

        Returns:
            By container ID a dictionary of `nodeId`, and of `stdout` and `stderr` as text.

        Raises:
            ApplicationNotFoundError: YARN does not know it.
            YARNException: Its logs cannot be read, and why.
        """
        from knit._knit.logs import collected_logs, live_logs, shell_logs

        if isinstance(app_id, bool):
            shell = app_id
            app_id = None
        app = self._application(app_id)
        if shell:
            cluster = self.client._cluster
            return shell_logs(app, self.conf, cluster.claimed_name, cluster.acting_for)
        state = app.report().state
        if state in (YarnState.KILLED, YarnState.FAILED):
            return collected_logs(app)  # its Application Master went with it
        try:
            return live_logs(app, to_the_end=state.is_final)
        except (ApplicationNotRunningError, ConnectionLostError):
            if not app.report().state.is_final:
                raise
        return collected_logs(app)

    def print_logs(self, app_id: str | None = None, shell: bool = False) -> None:
        """Prints what `logs` returns, for people to read."""
        for container_id, found in self.logs(app_id, shell).items():
            print(f"### {container_id} on {found['nodeId']}")
            for name in ("stdout", "stderr"):
                print(f"--- {name}\n{found[name]}")

    @overload
    def kill(self, app_id: str | None = None, timeout: float = 10) -> bool: ...

    @overload
    def kill(self, app_id: float) -> bool: ...

    def kill(self, app_id: str | float | None = None, timeout: float = 10) -> bool:
        """
        Ends an application at once, and waits until YARN says that it is KILLED.

        Args:
            app_id: The application. Default: the one started last.
            timeout: For how many seconds to wait.

        Returns:
            Whether it is. False if it had ended before, or has not ended in time; YARN goes on
            trying.

        Raises:
            ApplicationNotFoundError: YARN does not know it.
        """
        app_id, timeout = _id_and_timeout(app_id, timeout)
        try:
            report = self._application(app_id).kill(timeout=timedelta(seconds=timeout))
        except WaitTimeoutError:
            return False
        return report.state is YarnState.KILLED

    @overload
    def wait_for_completion(self, app_id: str | None = None, timeout: float = 10) -> bool: ...

    @overload
    def wait_for_completion(self, app_id: float) -> bool: ...

    def wait_for_completion(self, app_id: str | float | None = None, timeout: float = 10) -> bool:
        """
        Waits until an application has ended.

        Interrupted, as by Ctrl-C or by a notebook that stops its cell, it only stops to wait: the
        application runs on until it ends or `kill` is called.

        Args:
            app_id: The application. Default: the one started last.
            timeout: For how many seconds to wait.

        Returns:
            Whether it succeeded. False at once if it FAILED or was KILLED, and once the time is
            up.

        Raises:
            ApplicationNotFoundError: YARN does not know it.
        """
        app_id, timeout = _id_and_timeout(app_id, timeout)
        try:
            report = self._application(app_id).wait(timeout=timedelta(seconds=timeout))
        except WaitTimeoutError:
            return False
        return (report.state, report.final_status) == (YarnState.FINISHED, FinalStatus.SUCCEEDED)

    @staticmethod
    def create_env(
        env_name: str,
        packages: list[str] | None = None,
        conda_root: str | None = None,
        remove: bool = False,
        *,
        channels: Sequence[str] = (),
    ) -> str:
        """
        Makes a conda environment that containers can use, and packs it.

        Args:
            env_name: Its name. An environment of this name that has the packages is used as it is.
            packages: What is to be in it, such as `["python=3", "pandas"]`. Default: pack the
                environment of that name as it is.
            conda_root: The conda installation. Default: the one that is found, or none.
            remove: Whether to remove an environment of that name first.
            channels: Where packages come from. Default: what conda is configured to use.

        Returns:
            The path of the archive, for `start(env=…)`.

        Raises:
            CondaException: It could not be made, and why.
            PackageListError: `packages` is no list.
        """
        from knit._environments import create_env

        return str(
            create_env(env_name, packages, channels=channels, conda_root=conda_root, remove=remove)
        )

    def _application(self, app_id: str | None) -> Application:
        app_id = app_id if app_id is not None else self.app_id
        if app_id is None:
            raise KnitError("Nothing was started yet: start a command, or name an application.")
        if app_id not in self._handles:
            self._handles[app_id] = self.client.application(app_id)
        return self._handles[app_id]

    def _refuse_second_start(self) -> None:
        if self.app_id is None:
            return
        state = self._application(None).report().state
        if not state.is_final:
            raise WrongStateError(
                f"{self.app_id} was started before and is {state.value}. Kill it, wait for its "
                "end, or make another Knit."
            )


def _id_and_timeout(app_id: str | float | None, timeout: float) -> tuple[str | None, float]:
    """The documentation shows both `kill(app_id)` and `kill(10)`."""
    if isinstance(app_id, (int, float)):
        timeout = app_id
        app_id = None
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or timeout < 0:
        raise SpecError(f"timeout is {timeout!r}: give a number of seconds.")
    return app_id, timeout
