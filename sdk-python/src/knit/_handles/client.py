"""The way to a cluster: submits applications, and finds those there are."""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Callable, Mapping
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any

from knit._cluster.configuration.config import ClusterConfig
from knit._handles.application import Application
from knit._handles.cluster_calls import ClusterCalls
from knit._handles.cluster_yarn import ClusterYarn
from knit._handles.given import Given
from knit._handles.killing import check_id
from knit._values.reports import ApplicationReport
from knit._wire.tls import ClientTls

if TYPE_CHECKING:
    from knit._cluster.cluster import Cluster
    from knit._environments import PackingProgress
    from knit._staging.values import StagingProgress
    from knit._submission.doctor import CheckResult
    from knit._values.spec import ApplicationSpec

SWEEPING_TIME = timedelta(seconds=5)
"""How long a client that is closed waits for its sweep, which comes once an hour at most."""

_log = logging.getLogger("knit")


class Client(ClusterCalls):
    """
    The way to one cluster.

    It connects as it is used, and threads and forked processes may share it; a pickled copy has
    connections of its own. Leaving a `with` block closes its connections and those of the handles
    it gave; applications go on.

    Args:
        config: Where the cluster is.
        user: Without Kerberos, who we are; default: `$HADOOP_USER_NAME`, else the system's user.
            With Kerberos the ticket says that, and this is whom to act for, as proxy users may;
            default: `$HADOOP_PROXY_USER`, else nobody.
        timeout: For each call that is given no other.
        credentials: A directory of credentials of one application, as `knit credentials` writes
            it: with these this client talks to that application, instead of with those that its
            user finds on the cluster.
        keytab: With Kerberos, a keytab's file, by which tickets are had for as long as the client
            lives. Default: the cache that kinit fills, or the keytab that `$KRB5_CLIENT_KTNAME`
            names.
        principal: With Kerberos, whose tickets. Default: whose the cache is; the keytab's first.

    Raises:
        ConfigurationError: The user is not known, or the configuration malformed.
    """

    def __init__(
        self,
        config: ClusterConfig,
        *,
        user: str | None = None,
        timeout: timedelta = timedelta(seconds=30),
        credentials: str | os.PathLike[str] | None = None,
        keytab: str | os.PathLike[str] | None = None,
        principal: str | None = None,
    ) -> None:
        from knit._cluster.cluster import Cluster

        directory = None if credentials is None else os.fspath(credentials)
        cluster = Cluster(config, user=user, keytab=keytab, principal=principal, timeout=timeout)
        self._begin(cluster, user, directory)

    def _begin(self, cluster: Cluster, user: str | None, credentials: str | None) -> None:
        from knit._staging.sweep import Sweeping

        self._config = cluster.config
        self._user = user
        self._timeout = cluster.timeout
        self._given = None if credentials is None else Given(credentials)
        self._cluster = cluster
        # Of users that applications are submitted for.
        self._others: dict[str, Client] = {}
        self._yarn = ClusterYarn(self._cluster)
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
        credentials: str | os.PathLike[str] | None = None,
        keytab: str | os.PathLike[str] | None = None,
        principal: str | None = None,
    ) -> Client:
        """
        Makes a client of the cluster that a configuration describes.

        Args:
            config_dir: A directory with Hadoop's XML files. Default: where the environment says
                (`$HADOOP_CONF_DIR`), unless there are `properties`, which then are all there is.
            properties: Properties that are to hold instead of, or in addition to, the files'.
            user: Who we are; with Kerberos, whom to act for.
            timeout: For each call that is given no other.
            credentials: A directory of credentials of one application.
            keytab: With Kerberos, a keytab's file.
            principal: With Kerberos, whose tickets.

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
        return cls(
            config,
            user=user,
            timeout=timeout,
            credentials=credentials,
            keytab=keytab,
            principal=principal,
        )

    @property
    def config(self) -> ClusterConfig:
        """Where the cluster is."""
        return self._config

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
            others = list(self._others.values())
        for application in handles:
            application.close()
        for other in others:
            other.close()
        self._cluster.close()

    def __reduce__(self) -> tuple[object, ...]:
        # A copy opens connections of its own when it is used.
        directory = None if self._given is None else self._given.directory
        tickets = self._cluster.tickets
        options = {
            "user": self._user,
            "timeout": self._timeout,
            "credentials": directory,
            "keytab": tickets.keytab if tickets else None,
            "principal": tickets.wanted if tickets else None,
        }
        return _restored, (type(self), self._config, options)

    def _acting_for(self, user: str | None) -> Client:
        """This client, or one that acts for another user, of whom an application is to be."""
        if user is None or user == self.user:
            return self
        with self._handles_lock:
            if user not in self._others:
                other = Client.__new__(Client)
                other._begin(self._cluster.acting_as(user), user, None)
                self._others[user] = other
            return self._others[user]

    def check(self, spec: ApplicationSpec) -> list[str]:
        """
        Checks all that can be known before a submission, and submits nothing.

        Only what YARN itself would refuse is refused.

        Returns:
            What is worth knowing though it keeps nothing from being submitted, in sentences: no
            node runs or is large enough now, or the clock of this machine is wrong.

        Raises:
            SpecError: It can run on no cluster, or one of its files is missing.
            NeedsAgentError: It asks for a probe.
            PythonEnvironmentError: A Python environment is none, or would not run elsewhere.
            ClusterError: It cannot run on this one; by its kind.
        """
        from knit._submission.checks import verify
        from knit._submission.facts import ClusterFacts
        from knit._submission.local_checks import check_local
        from knit._submission.sizes import check_maximum, check_named
        from knit._submission.submit import requests_of
        from knit._submission.support import check_supported, restrictions

        other = self._acting_for(spec.user)
        if other is not self:
            return other.check(spec)
        check_supported(spec)
        check_local(spec)
        requests = requests_of(spec)
        facts = ClusterFacts(self._cluster)
        advice = verify(facts, queue=spec.queue, requests=requests, spec=spec)
        new = facts.new_application()
        for request in requests:
            check_maximum(request, new.maximum_mib, new.maximum_vcores)
            check_named(request, new)
        return [*restrictions(spec), *advice]

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
        left on the cluster but files in the cache. Ctrl-C ends it within about a second, whatever
        it waits for; what may run then, as YARN does not answer, is told in the logger `knit`.

        Args:
            spec: What the application consists of. Where it names another `user`, all of it is done
                as that user, for whom we have to be allowed to act: staged in that user's home,
                and counted as that user's. `Client(…, user=…)` finds it again.
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
        from knit._submission.submit import Submitter, check_here

        check_here(spec)
        other = self._acting_for(spec.user)
        if other is not self:
            return other.submit(
                spec,
                progress=progress,
                packing_progress=packing_progress,
                before_submit=before_submit,
                advice=advice,
            )
        application_id, tls = Submitter(self._cluster, self._yarn.staging).submit(
            spec,
            progress=progress,
            packing_progress=packing_progress,
            before_submit=before_submit,
            advice=advice,
        )
        self._sweep_later(application_id)
        return self._handle(application_id, tls)

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
        check_id(application_id)
        return self._handle(application_id, None)

    def doctor(self, *, queue: str | None = "default") -> list[CheckResult]:
        """
        Looks at everything that a submission depends on, and changes nothing that stays.

        Args:
            queue: A queue to look at; None for none.
        """
        from knit._submission.doctor import diagnose

        tickets = self._cluster.tickets
        return diagnose(
            self._config,
            user=self._user,
            queue=queue,
            timeout=self._timeout,
            keytab=tickets.keytab if tickets else None,
            principal=tickets.wanted if tickets else None,
        )

    def _handle(self, application_id: str, tls: ClientTls | None) -> Application:
        given = self._given
        # Of an application that was submitted just now, or is another one, they are not.
        if given is not None and (
            tls is not None or given.endpoint().application_id != application_id
        ):
            given = None
        application = Application(
            self._yarn,
            application_id,
            tls=tls,
            timeout=self._timeout,
            kill_on_error=tls is not None,
            given=given,
        )
        with self._handles_lock:
            self._handles.add(application)
        return application

    def _sweep_later(self, application_id: str) -> None:
        """Clears up behind earlier applications, beside whatever the caller does next."""
        from knit._staging.sweep import Sweep

        staging, resource_manager = self._yarn.staging, self._cluster.resource_manager

        def sweep() -> None:
            try:
                if not Sweep.claim(staging.directory):
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


def _restored(kind: type[Client], config: ClusterConfig, options: dict[str, Any]) -> Client:
    return kind(config, **options)
