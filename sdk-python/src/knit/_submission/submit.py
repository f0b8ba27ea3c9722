"""Submits an application: checks, stages and hands it in, as much as can be at the same time."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import attrs

from knit._cluster.cluster import Cluster
from knit._cluster.yarn.lifetimes import limit_lifetime
from knit._staging.staging import Staging
from knit._staging.values import ConnectionKeys, KeyPair, LocalResource, StagedFile, StagingProgress
from knit._submission.am_container import ROLLED_LOGS, SPEC_SECRET, AmSubmission
from knit._submission.checks import explain_refusal, verify
from knit._submission.facts import ClusterFacts, ResourceRequest
from knit._submission.keytabs import (
    KEYTAB_SECRET,
    Keytab,
    check_way,
    owner_advice,
    read_keytab_of,
)
from knit._submission.local_checks import check_local
from knit._submission.shipments import Packer, Shipment
from knit._submission.sizes import check_maximum, check_named
from knit._submission.state_store import check_state_store
from knit._submission.support import check_supported, restrictions
from knit._submission.token_advice import explain_renewal, token_advice
from knit._submission.tokens import check_tokens, fetch_tokens
from knit._values.giving_up import GRACE_SECONDS, GivenUpError, Threads, heed, within
from knit._values.spec import ApplicationSpec
from knit._wire.tls import ApplicationTls, ClientTls
from knit.exceptions import (
    AccessDeniedError,
    ApplicationNotFoundError,
    ClusterError,
    ConfigurationError,
    SubmissionError,
)

if TYPE_CHECKING:
    from knit._cluster.yarn.nodes import NewApplication
    from knit._environments import PackingProgress
    from knit.v1 import service_pb2

Shipped: TypeAlias = list[tuple[Shipment, LocalResource]]

JAR = Path(__file__).parents[1] / "_jar" / "knit-am.jar"
GIVING_UP_TIME = timedelta(seconds=5)
"""How long an application whose submission broke is tried to be killed, unless by Ctrl-C."""

_log = logging.getLogger("knit")


@attrs.frozen(kw_only=True)
class _Prepared:
    """What is there before an application is handed in."""

    new: NewApplication
    tls: ApplicationTls = attrs.field(repr=False)
    jar: LocalResource
    files: Shipped
    keytab: Keytab | None


class Submitter:
    """
    Submits applications to one cluster. Threads may share it.

    Args:
        cluster: Which one, and who we are there.
        staging: The user's directory on its file system.
    """

    def __init__(self, cluster: Cluster, staging: Staging) -> None:
        self._cluster = cluster
        self._staging = staging

    def submit(
        self,
        spec: ApplicationSpec,
        *,
        progress: Callable[[StagingProgress], None] | None,
        packing_progress: Callable[[PackingProgress], None] | None,
        before_submit: Callable[[str], object] | None,
        advice: Callable[[str], object] | None,
    ) -> tuple[str, ClientTls]:
        """
        See `Client.submit`.

        Returns:
            The application's ID, and what its clients are let in by.
        """
        check_supported(spec)
        began = time.monotonic()
        ready = self._prepare(spec, progress, packing_progress, advice)
        new, tls = ready.new, ready.tls
        _log.debug("prepared %s in %.3f s", new.application_id, time.monotonic() - began)
        try:
            heed()
            if before_submit is not None:
                before_submit(new.application_id)
            self._hand_in(spec, ready, advice or _log.warning)
        except BaseException as error:
            remove = partial(self._staging.records.remove, new.application_id)
            # Else a later submission finds that nobody needs it.
            within(_patience_after(error), remove)
            raise
        _log.debug("submitted %s in %.3f s", new.application_id, time.monotonic() - began)
        return new.application_id, tls.client

    def _prepare(
        self,
        spec: ApplicationSpec,
        progress: Callable[[StagingProgress], None] | None,
        packing_progress: Callable[[PackingProgress], None] | None,
        advice: Callable[[str], object] | None,
    ) -> _Prepared:
        """All that a submission needs and that can be done at the same time."""
        requests = requests_of(spec)
        keytab = read_keytab_of(spec)
        check_tokens(self._cluster, spec)

        def report_packing(state: PackingProgress) -> None:
            heed()  # nobody may need the rest of it
            if packing_progress is not None:
                packing_progress(state)

        def new_application() -> NewApplication:
            new = self._cluster.resource_manager.new_application()
            for request in requests:
                check_maximum(request, new.maximum_mib, new.maximum_vcores)
                check_named(request, new)
            if keytab is not None:
                check_way(self._cluster)
            return new

        facts = ClusterFacts(self._cluster)
        check = partial(verify, facts, queue=spec.queue, requests=requests, spec=spec)
        with Threads(4, "knit-submit") as pool:
            checks = pool.submit(check)
            news = pool.submit(new_application)
            keys = pool.submit(ApplicationTls.generate)

            def checked() -> None:
                checks.result()
                news.result()

            def uploaded() -> tuple[LocalResource, Shipped]:
                with Packer() as packer:
                    shipments = packer.shipments(spec.services, report_packing)
                    if spec.driver is not None:
                        shipments += packer.driver_shipments(spec.driver, report_packing)
                    staged = [StagedFile(source=JAR), *(shipment.file for shipment in shipments)]
                    jar, *resources = self._staging.stage(staged, progress, before_upload=checked)
                return jar, list(zip(shipments, resources, strict=True))

            uploads = pool.submit(uploaded)
            # In this order, so that of several failures the most telling one is raised.
            for sentence in (*restrictions(spec), *checks.result()):
                (advice or _log.warning)(sentence)
            new, tls = news.result(), keys.result()
            jar, files = uploads.result()
        return _Prepared(new=new, tls=tls, jar=jar, files=files, keytab=keytab)

    def _hand_in(
        self, spec: ApplicationSpec, ready: _Prepared, advise: Callable[[str], object]
    ) -> None:
        staging, new, tls, jar, keytab = (
            self._staging,
            ready.new,
            ready.tls,
            ready.jar,
            ready.keytab,
        )
        resources: dict[str, dict[str, service_pb2.LocalResource]] = {}
        driver_resources: dict[str, service_pb2.LocalResource] = {}
        driver_files: dict[str, LocalResource] = {}
        for shipment, resource in ready.files:
            if shipment.service is None:
                driver_files[shipment.name] = resource
                of = driver_resources
            else:
                of = resources.setdefault(shipment.service, {})
            of[shipment.name] = shipment.to_proto(resource)
        message = spec._to_proto(
            resources,
            driver_resources=driver_resources,
            staging_url=staging.directory.url_of_application(new.application_id),
            # With Kerberos containers are who their tokens say.
            user_name="" if self._cluster.config.kerberos else self._cluster.user,
            principal="" if keytab is None else keytab.principal,
        )
        # Not before everything is on the cluster: an upload may take longer than a token's
        # interval, and the ResourceManager begins with renewing them.
        tokens = fetch_tokens(self._cluster, spec)
        held = self._cluster.held is not None
        said = token_advice(ClusterFacts(self._cluster), spec, tokens, held=held)
        for sentence in (*said, *([] if keytab is None else owner_advice(self._cluster, keytab))):
            advise(sentence)
        client, container = tls.client, tls.clients["container"]
        keys = ConnectionKeys(
            ca=client.ca.decode(),
            client_cert=client.cert.decode(),
            client_key=client.key.decode(),
            # A container's are of no use without a token, which the Application Master makes.
            others={
                role: KeyPair(cert=other.cert.decode(), key=other.key.decode())
                for role, other in tls.clients.items()
                if other not in (client, container)
            },
        )
        submission = AmSubmission(
            application_id=new.application_id,
            name=spec.name,
            queue=spec.queue,
            memory_mib=spec.application_master.memory_mib,
            vcores=spec.application_master.vcores,
            jar=jar,
            application_classpath=self._cluster.config.application_classpath,
            class_archive=self._cluster.config.class_archive,
            user_name=None if self._cluster.config.kerberos else self._cluster.user,
            secrets={
                SPEC_SECRET: message.SerializeToString(),
                "knit.tls.ca": tls.ca,
                "knit.tls.cert": tls.cert,
                "knit.tls.key": tls.key,
                "knit.container.cert": container.cert,
                "knit.container.key": container.key,
                "knit.token.key": tls.token_key,
                **({} if keytab is None else {KEYTAB_SECRET: keytab.data}),
            },
            tokens=tokens,
            # Those of a container are still its own when an application that it started ends.
            cancels_tokens=not held,
            rolled_logs=ROLLED_LOGS,
            application_type=spec.type,
            tags=spec.tags,
            max_attempts=spec.max_attempts,
            priority=spec.priority,
            attempt_failures_validity=spec.attempt_failures_validity,
            node_label=spec.node_label,
            master_node_label=spec.master_node_label,
            access_control=spec.access_control,
            environment=spec.master_environment,
            has_driver=spec.driver is not None,
            driver_files=driver_files,
        ).to_submission()
        check_state_store(ClusterFacts(self._cluster), submission)
        # Closing even a small file takes HDFS about half a second, in which YARN can begin.
        used = [jar, *(resource for _, resource in ready.files)]
        register = partial(staging.records.register, new.application_id, used, keys)
        with Threads(1, "knit-register") as pool:
            registered = pool.submit(register)
            try:
                manager = self._cluster.resource_manager
                manager.submit(submission)
                if spec.lifetime is not None:
                    limit_lifetime(manager, new.application_id, spec.lifetime)
                registered.result()
            except SubmissionError as error:
                explained: ClusterError = explain_renewal(
                    self._cluster.config, tokens, error, held=held
                )
                if explained is error:
                    explained = explain_refusal(ClusterFacts(self._cluster), spec.queue, error)
                if explained is error:
                    raise
                raise explained from error
            except BaseException as error:
                # YARN may have it; it must not run without anybody who knows of it.
                self._take_back(new.application_id, error)
                raise

    def _take_back(self, application_id: str, error: BaseException) -> None:
        """Has YARN kill what it may have taken; says so where that cannot be asked for."""
        seconds = _patience_after(error)

        def kill() -> None:
            # It has none of it, or is not ours to end.
            with contextlib.suppress(ApplicationNotFoundError, AccessDeniedError):
                self._cluster.resource_manager.kill(
                    application_id, timeout=timedelta(seconds=seconds)
                )

        if not within(seconds, kill):
            _log.warning(
                "YARN may have taken %s, and did not say within %g s that it has ended. Look, and "
                "end it: knit status, knit kill.",
                application_id,
                seconds,
            )


def check_here(spec: ApplicationSpec) -> None:
    """
    Checks all that a submission needs of this machine.

    Raises:
        SpecError: As `check_local`.
        PythonEnvironmentError: Likewise.
        ConfigurationError: This installation cannot submit.
    """
    check_local(spec)
    if not JAR.is_file():
        raise ConfigurationError(
            "This installation of knit lacks the Application Master's jar and cannot submit: "
            "install the wheel, or build the jar and install again."
        )


def _patience_after(error: BaseException) -> float:
    """Seconds for what is to be taken back: whoever has interrupted it does not wait."""
    if isinstance(error, GivenUpError) or not isinstance(error, Exception):
        return GRACE_SECONDS
    return GIVING_UP_TIME.total_seconds()


def requests_of(spec: ApplicationSpec) -> list[ResourceRequest]:
    """The sizes of the containers it asks for, its Application Master's first."""
    sizes = {"the Application Master": spec.application_master}
    sizes |= {f"the service {name!r}": s.resources for name, s in spec.services.items()}
    return [
        ResourceRequest(
            what=what, memory_mib=size.memory_mib, vcores=size.vcores, others=size.others
        )
        for what, size in sizes.items()
    ]
