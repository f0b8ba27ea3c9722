"""The way to a cluster: submits applications, and finds those there are."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, TypeAlias

from knit._application import Application
from knit._cluster.configuration.config import ClusterConfig
from knit._tls import ApplicationTls, ClientTls
from knit._values.deadlines import Deadline
from knit._values.identifiers import APPLICATION_ID
from knit._values.reports import ApplicationReport
from knit._values.states import YarnState
from knit.exceptions import (
    ApplicationError,
    ApplicationNotFoundError,
    ClusterError,
    ConfigurationError,
    KnitError,
    SubmissionError,
)

if TYPE_CHECKING:
    from knit._checks import CheckResult, ResourceRequest
    from knit._cluster.cluster import Cluster
    from knit._cluster.logs import LogArchive
    from knit._cluster.yarn.nodes import NewApplication
    from knit._environments import PackingProgress
    from knit._shipments import Shipment
    from knit._staging import LocalResource, Staging, StagingProgress
    from knit._values.spec import ApplicationSpec
    from knit.v1 import application_pb2

    Shipped: TypeAlias = "list[tuple[Shipment, LocalResource]]"

JAR = Path(__file__).with_name("_jar") / "knit-am.jar"
SWEEPING_TIME = timedelta(seconds=5)
"""How long a client that is closed waits for its sweep, which comes once an hour at most."""
GIVING_UP_TIME = timedelta(seconds=5)
"""How long an application whose submission broke is tried to be killed."""

_log = logging.getLogger("knit")


class _Myself:
    """Stands for the user of a client, where None means everybody."""

    def __repr__(self) -> str:
        return "MYSELF"


MYSELF: Final = _Myself()


class Client:
    """
    The way to one cluster.

    It connects as it is used, and threads and forked processes may share it; a pickled copy has
    connections of its own. Leaving a `with` block closes its connections and those of the handles
    it gave; applications go on.

    Args:
        config: Where the cluster is.
        user: Who we are. Default: `$HADOOP_USER_NAME`, else the system's user.
        timeout: For each call that is given no other.

    Raises:
        KerberosRequiredError: The cluster authenticates with Kerberos.
        ConfigurationError: The user is not known, or the configuration malformed.
    """

    def __init__(
        self,
        config: ClusterConfig,
        *,
        user: str | None = None,
        timeout: timedelta = timedelta(seconds=30),
    ) -> None:
        from knit._cluster.cluster import Cluster
        from knit._sweep import Sweeping

        self._config = config
        self._user = user
        self._timeout = timeout
        self._cluster = Cluster(config, user=user, timeout=timeout)
        self._yarn = _Yarn(self._cluster)
        # A handle that nobody holds any more closes by itself.
        self._handles: weakref.WeakSet[Application] = weakref.WeakSet()
        self._handles_lock = threading.Lock()
        self._closed = threading.Event()
        self._sweeping = Sweeping()

    @classmethod
    def from_config(
        cls,
        config_dir: str | os.PathLike[str] | None = None,
        *,
        properties: Mapping[str, object] | None = None,
        user: str | None = None,
        timeout: timedelta = timedelta(seconds=30),
    ) -> Client:
        """
        Makes a client of the cluster that a configuration describes.

        Args:
            config_dir: A directory with Hadoop's XML files. Default: where the environment says
                (`$HADOOP_CONF_DIR`), unless there are `properties`, which then are all there is.
            properties: Properties that are to hold instead of, or in addition to, the files'.
            user: Who we are.
            timeout: For each call that is given no other.

        Raises:
            ConfigurationNotFoundError: There is no configuration.
            ConfigurationError: It is malformed.
        """
        if config_dir is not None:
            config = ClusterConfig.from_directory(config_dir)
            if properties:
                config = config.with_properties(properties)
        elif properties:
            config = ClusterConfig.from_properties(properties)
        else:
            config = ClusterConfig.from_environment()
        return cls(config, user=user, timeout=timeout)

    @property
    def config(self) -> ClusterConfig:
        """Where the cluster is."""
        return self._config

    @property
    def user(self) -> str:
        """The name the cluster knows us by."""
        return self._cluster.user

    def __enter__(self) -> Client:
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
        self._sweeping.wait(SWEEPING_TIME)
        self._closed.set()
        with self._handles_lock:
            handles = list(self._handles)
        for application in handles:
            application.close()
        self._cluster.close()

    def __reduce__(self) -> tuple[object, ...]:
        # A copy opens connections of its own when it is used.
        return _restored, (type(self), self._config, self._user, self._timeout)

    def check(self, spec: ApplicationSpec) -> list[str]:
        """
        Checks all that can be known before a submission, and submits nothing.

        Only what YARN itself would refuse is refused.

        Returns:
            What is worth knowing though it keeps nothing from being submitted, in sentences: no
            node runs or is large enough now, or the clock of this machine is wrong.

        Raises:
            SpecError: It can run on no cluster, or one of its files is missing.
            PythonEnvironmentError: A Python environment is none, or would not run elsewhere.
            ClusterError: It cannot run on this one; by its kind.
        """
        from knit._checks import ClusterFacts, check_maximum, verify
        from knit._local_checks import check_local

        check_local(spec)
        requests = _requests(spec)
        facts = ClusterFacts(self._cluster)
        advice = verify(facts, queue=spec.queue, requests=requests)
        new = facts.new_application()
        for request in requests:
            check_maximum(request, new.maximum_mib, new.maximum_vcores)
        return advice

    def submit(
        self,
        spec: ApplicationSpec,
        *,
        progress: Callable[[StagingProgress], None] | None = None,
        packing_progress: Callable[[PackingProgress], None] | None = None,
        before_submit: Callable[[str], object] | None = None,
        advice: Callable[[str], object] | None = None,
    ) -> Application:
        """
        Submits an application.

        It is checked first: what cannot run is refused before a byte of a file is sent. Python
        environments given as directories are packed, unless they were and are the same. It returns
        when YARN has accepted it, and does not wait for it to start. If it fails, nothing of it is
        left on the cluster but files in the cache.

        Args:
            spec: What the application consists of.
            progress: Told how far the uploads are, from other threads.
            packing_progress: Told how far the packing of an environment is, from another thread.
            before_submit: Told the application's ID when all is prepared and before YARN is asked
                to accept it: whoever is killed in between has left word of it.
            advice: Told, before anything is submitted, what keeps it waiting as the cluster is
                now, a sentence each. Default: the logger `knit` has it, as a warning.

        Returns:
            A handle on it, which this client closes. In a `with` block that is left by an
            exception, such as Ctrl-C's, it kills the application; left otherwise, or used without
            one, it lets it run on.

        Raises:
            SpecError: It can run on no cluster, or one of its files is missing.
            PythonEnvironmentError: A Python environment is none, or would not run elsewhere.
            ClusterError: It cannot run on this one, or could not be submitted; by its kind.
        """
        from knit._local_checks import check_local

        check_local(spec)
        if not JAR.is_file():
            raise ConfigurationError(
                "This installation of knit lacks the Application Master's jar and cannot submit: "
                "install the wheel, or build the jar and install again."
            )
        began = time.monotonic()
        staging = self._yarn.staging
        new, tls, jar, files = self._prepare(spec, progress, packing_progress, advice)
        _log.debug("prepared %s in %.3f s", new.application_id, time.monotonic() - began)
        try:
            if before_submit is not None:
                before_submit(new.application_id)
            self._hand_in(spec, new, tls, jar, files)
        except BaseException:
            with contextlib.suppress(KnitError):
                staging.remove(new.application_id)
            raise
        _log.debug("submitted %s in %.3f s", new.application_id, time.monotonic() - began)
        self._sweep_later(new.application_id)
        return self._handle(new.application_id, tls.client)

    def run(
        self,
        spec: ApplicationSpec,
        *,
        timeout: timedelta | None = None,
        progress: Callable[[StagingProgress], None] | None = None,
        packing_progress: Callable[[PackingProgress], None] | None = None,
    ) -> ApplicationReport:
        """
        Submits an application and stays to its end. Prints nothing; `Application.logs` has that.

        Interrupted, or out of time, it kills the application.

        Args:
            spec: What the application consists of.
            timeout: How long it may take from its submission on. Default: as long as it takes.
            progress: As for `submit`.
            packing_progress: As for `submit`.

        Returns:
            The last report, of an application that SUCCEEDED.

        Raises:
            ApplicationFailedError: It did not end well.
            WaitTimeoutError: It has not ended in time, and was killed.
            KnitError: It could not be submitted, as for `submit`.
        """
        with self.submit(spec, progress=progress, packing_progress=packing_progress) as application:
            report = application.wait(timeout=timeout)
        return report.raise_for_status()

    def application(self, application_id: str) -> Application:
        """
        Returns a handle on an application of this user, running or ended; asks nothing yet.

        Raises:
            ApplicationNotFoundError: This is not the ID of an application.
        """
        if not APPLICATION_ID.fullmatch(application_id):
            raise ApplicationNotFoundError(
                f"{application_id!r} is not the ID of an application: one reads like "
                "application_1700000000000_0001. Known ones: knit list"
            )
        return self._handle(application_id, None)

    def applications(
        self,
        *,
        states: Iterable[YarnState] | None = None,
        name: str | None = None,
        user: str | _Myself | None = MYSELF,
        queue: str | None = None,
    ) -> list[ApplicationReport]:
        """
        Lists applications of knit, the latest first.

        Args:
            states: Only in these. Default: in any that YARN remembers.
            name: Only of this name.
            user: Only of this user. Default: of the client's. None: of everybody.
            queue: Only in this queue.
        """
        return self._cluster.resource_manager.applications(
            states=states,
            name=name,
            user=self.user if isinstance(user, _Myself) else user,
            queue=queue,
        )

    def doctor(self, *, queue: str | None = "default") -> list[CheckResult]:
        """
        Looks at everything that a submission depends on, and changes nothing that stays.

        Args:
            queue: A queue to look at; None for none.
        """
        from knit._checks import diagnose

        return diagnose(self._config, user=self._user, queue=queue, timeout=self._timeout)

    def _handle(self, application_id: str, tls: ClientTls | None) -> Application:
        application = Application(
            self._yarn,
            application_id,
            tls=tls,
            timeout=self._timeout,
            kill_on_error=tls is not None,
        )
        with self._handles_lock:
            self._handles.add(application)
        return application

    def _prepare(
        self,
        spec: ApplicationSpec,
        progress: Callable[[StagingProgress], None] | None,
        packing_progress: Callable[[PackingProgress], None] | None,
        advice: Callable[[str], object] | None,
    ) -> tuple[NewApplication, ApplicationTls, LocalResource, Shipped]:
        """All that a submission needs and that can be done at the same time."""
        from knit._checks import ClusterFacts, check_maximum, verify
        from knit._shipments import Packer
        from knit._staging import StagedFile

        requests = _requests(spec)
        failed = threading.Event()

        def report(state: StagingProgress) -> None:
            if failed.is_set():  # nobody needs the rest of the uploads
                raise _AbandonedError
            if progress is not None:
                progress(state)

        def report_packing(state: PackingProgress) -> None:
            if failed.is_set():
                raise _AbandonedError
            if packing_progress is not None:
                packing_progress(state)

        def new_application() -> NewApplication:
            new = self._cluster.resource_manager.new_application()
            for request in requests:
                check_maximum(request, new.maximum_mib, new.maximum_vcores)
            return new

        facts = ClusterFacts(self._cluster)
        with ThreadPoolExecutor(4, thread_name_prefix="knit-submit") as pool:
            checks = pool.submit(verify, facts, queue=spec.queue, requests=requests)
            news = pool.submit(new_application)
            keys = pool.submit(ApplicationTls.generate)

            def checked() -> None:
                checks.result()
                news.result()

            def uploaded() -> tuple[LocalResource, Shipped]:
                with Packer() as packer:
                    shipments = packer.shipments(spec, report_packing)
                    staged = [StagedFile(source=JAR), *(shipment.file for shipment in shipments)]
                    jar, *resources = self._yarn.staging.stage(
                        staged, report, before_upload=checked
                    )
                return jar, list(zip(shipments, resources, strict=True))

            uploads = pool.submit(uploaded)
            try:
                # In this order, so that of several failures the most telling one is raised.
                for sentence in checks.result():
                    (advice or _log.warning)(sentence)
                new, tls = news.result(), keys.result()
                jar, files = uploads.result()
            except BaseException:
                failed.set()
                raise
        return new, tls, jar, files

    def _hand_in(
        self,
        spec: ApplicationSpec,
        new: NewApplication,
        tls: ApplicationTls,
        jar: LocalResource,
        files: Shipped,
    ) -> None:
        from knit._checks import ClusterFacts, explain_refusal
        from knit._staging import ConnectionKeys
        from knit._submission import SPEC_SECRET, AmSubmission

        staging = self._yarn.staging
        resources: dict[str, dict[str, application_pb2.LocalResource]] = {}
        for shipment, resource in files:
            of_service = resources.setdefault(shipment.service, {})
            of_service[shipment.name] = shipment.to_proto(resource)
        message = spec._to_proto(
            resources,
            staging_url=staging.url_of(new.application_id),
            # With Kerberos containers are who their tokens say.
            user_name="" if self._config.kerberos else self.user,
        )
        client = tls.client
        keys = ConnectionKeys(
            ca=client.ca.decode(),
            client_cert=client.cert.decode(),
            client_key=client.key.decode(),
        )
        submission = AmSubmission(
            application_id=new.application_id,
            name=spec.name,
            queue=spec.queue,
            memory_mib=spec.application_master.memory_mib,
            vcores=spec.application_master.vcores,
            jar=jar,
            application_classpath=self._config.application_classpath,
            class_archive=self._config.class_archive,
            user_name=None if self._config.kerberos else self.user,
            secrets={
                SPEC_SECRET: message.SerializeToString(),
                "knit.tls.ca": tls.ca,
                "knit.tls.cert": tls.cert,
                "knit.tls.key": tls.key,
            },
            tags=spec.tags,
            max_attempts=spec.max_attempts,
        ).to_rest()
        # Closing even a small file takes HDFS about half a second, in which YARN can begin.
        with ThreadPoolExecutor(1, thread_name_prefix="knit-register") as pool:
            used = [jar, *(resource for _, resource in files)]
            registered = pool.submit(staging.register, new.application_id, used, keys)
            try:
                self._cluster.resource_manager.submit(submission)
                registered.result()
            except SubmissionError as error:
                explained = explain_refusal(ClusterFacts(self._cluster), spec.queue, error)
                if explained is error:
                    raise
                raise explained from error
            except BaseException:
                # YARN may have it; it must not run without anybody who knows of it.
                with contextlib.suppress(KnitError):
                    self._cluster.resource_manager.kill(new.application_id, timeout=GIVING_UP_TIME)
                raise

    def _sweep_later(self, application_id: str) -> None:
        """Clears up behind earlier applications, beside whatever the caller does next."""
        from knit._sweep import INTERVAL, Sweep

        staging, resource_manager = self._yarn.staging, self._cluster.resource_manager

        def sweep() -> None:
            try:
                if not staging.claim_sweep(INTERVAL):
                    return
                removed = Sweep(
                    staging,
                    resource_manager,
                    newest=application_id,
                    stopped=self._closed.is_set,
                ).run()
                _log.debug("swept %d entries of the staging directory", len(removed))
            except Exception as error:  # a later submission does it
                _log.debug("the sweep of the staging directory ended early: %s", error)

        self._sweeping.begin(sweep)


def _restored(
    kind: type[Client], config: ClusterConfig, user: str | None, timeout: timedelta
) -> Client:
    return kind(config, user=user, timeout=timeout)


class _AbandonedError(Exception):
    """The submission failed elsewhere, so its uploads end."""


class _Yarn:
    """What handles need of the cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    @cached_property
    def staging(self) -> Staging:
        """The user's directory `.knit`. The first use may raise ConfigurationError."""
        from knit._staging import Staging

        return Staging.on(self._cluster)

    def report(self, application_id: str, timeout: timedelta) -> ApplicationReport:
        return self._cluster.resource_manager.application(application_id, timeout=timeout)

    def kill(self, application_id: str, timeout: timedelta) -> ApplicationReport:
        deadline = Deadline.after(timeout)
        report = self._cluster.resource_manager.kill(application_id, timeout=timeout)
        # If it cannot be removed in time, the sweep after a later submission does it.
        with contextlib.suppress(ClusterError, ConfigurationError):
            self.staging.remove(application_id, timeout=deadline.remaining)
        return report

    def address(self, report: ApplicationReport, timeout: timedelta) -> str | None:
        if report.am_address is not None:
            return report.am_address
        if report.state not in (YarnState.RUNNING, YarnState.FINISHED):
            return None
        # Hadoop 2's reports do not carry it, so the Application Master writes it down.
        return self.staging.read_address(report.application_id, timeout=timeout)

    def archive(self, application_id: str) -> LogArchive:
        from knit._cluster.logs import LogArchive

        return LogArchive(self._cluster, application_id)

    def credentials(self, application_id: str, timeout: timedelta) -> ClientTls:
        keys = self.staging.read(application_id, timeout=timeout).keys
        if keys is None:
            raise ApplicationError(
                f"{application_id} was submitted without keys for other clients. Talk to it from "
                "the program that submitted it."
            )
        return ClientTls(
            ca=keys.ca.encode(), cert=keys.client_cert.encode(), key=keys.client_key.encode()
        )


def _requests(spec: ApplicationSpec) -> list[ResourceRequest]:
    from knit._checks import ResourceRequest

    sizes = {"the Application Master": spec.application_master}
    sizes |= {f"the service {name!r}": s.resources for name, s in spec.services.items()}
    return [
        ResourceRequest(what=what, memory_mib=size.memory_mib, vcores=size.vcores)
        for what, size in sizes.items()
    ]
