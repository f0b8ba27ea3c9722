"""A set of like containers, as its user writes it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from knit._values.checking import (
    duration,
    instance_of,
    optional,
    text,
    true_or_false,
    whole_number,
)
from knit._values.dependencies import (
    DEPENDS_SCHEMA,
    DependencyCondition,
    Depends,
    depends_from_document,
    depends_to_document,
    to_depends,
)
from knit._values.durations import duration_of, duration_to_proto
from knit._values.enums import OpenEnum
from knit._values.files import (
    ENVIRONMENT_NAME,
    FILES_SCHEMA,
    File,
    environment_below,
    files_from_document,
    files_from_proto,
    to_environment_source,
    to_files,
)
from knit._values.in_documents import OMIT_DEFAULT, in_documents
from knit._values.placement import Placement
from knit._values.readiness import Probe, Readiness
from knit._values.reading import as_said
from knit._values.resources import Resources
from knit._values.restarts import (
    DEFAULT_MAX_REPLACEMENTS,
    DEFAULT_MAX_RESTARTS,
    MOST_BUDGETS,
    BackOff,
    RestartBudget,
    as_numbers,
    budgets_of,
    to_budgets,
)
from knit._values.updates import UpdatePolicy
from knit._values.variables import ENVIRONMENT_SCHEMA, check_sizes, to_environment
from knit.exceptions import DuplicateFileError, SpecError

if TYPE_CHECKING:
    from knit.v1 import service_pb2

SERVICE_NAME = r"[A-Za-z0-9]([-._A-Za-z0-9]{0,61}[A-Za-z0-9])?"
MOST_INSTANCES = 100_000
"""Ranks that an Application Master keeps."""
LONGEST_STOP_GRACE = timedelta(hours=1)


class FailurePolicy(OpenEnum):
    """What a rank that failed for good means for the rest of the application."""

    UNKNOWN = 0
    """A value newer than this SDK."""
    FAIL_APPLICATION = 1
    """Everything else is stopped, and the application ends FAILED at once."""
    FINISH_OTHERS = 2
    """The others run to their end; the application then ends FAILED."""
    IGNORE = 3
    """The others go on, and the application may end SUCCEEDED."""


class AllocationPolicy(OpenEnum):
    """What happens when containers have waited for YARN too long."""

    UNKNOWN = 0
    """A value newer than this SDK."""
    FAIL = 1
    """The application ends FAILED, with the reason they waited for."""
    GO_ON = 2
    """The service goes on with those it has, if there is one."""
    KEEP_WAITING = 3
    """They go on waiting; an event says that the limit has passed."""


class ScaleDownOrder(OpenEnum):
    """Which containers end first when there are to be fewer."""

    UNKNOWN = 0
    """A value newer than this SDK."""
    HIGHEST_RANK_FIRST = 1
    """Those of the highest ranks, so that ranks stay without gaps."""
    NEWEST_FIRST = 2
    """Those that were asked for last."""
    OLDEST_FIRST = 3
    """Those that were asked for first."""


class Access(OpenEnum):
    """
    What a service's containers may ask of the Application Master.

    Each level includes the one before.
    """

    UNKNOWN = 0
    """A value newer than this SDK."""
    CONTAINER = 1
    """Read, use the key-value store, report, stop themselves."""
    OPERATOR = 2
    """As an operator: scale, add, stop, restart, update."""
    OWNER = 3
    """As the owner: end the application, and see values of variables and annotations."""


def check_service_name(name: object) -> None:
    """Raises for what is no name of a service."""
    if not isinstance(name, str) or not re.fullmatch(SERVICE_NAME, name, re.ASCII):
        raise SpecError(
            f"The service name {name!r} is not one: use up to 63 letters, digits and, within it, "
            "hyphens, dots and underscores."
        )


@attrs.frozen
class Service:
    """A set of like containers: the same command, in so many places (*ranks*)."""

    command: str = attrs.field(validator=text)
    """The command, as typed for `bash -c`; it runs exactly as given, whatever it holds."""
    instances: int = attrs.field(default=1, validator=whole_number(0, MOST_INSTANCES), kw_only=True)
    """How many containers it begins with, of ranks 0 to `instances` - 1. May be 0."""
    resources: Resources = attrs.field(
        factory=Resources, validator=instance_of(Resources), kw_only=True
    )
    """The size of each container."""
    files: Mapping[str, File] = attrs.field(
        factory=dict,
        converter=to_files,
        kw_only=True,
        metadata=in_documents(read=files_from_document, schema=FILES_SCHEMA),
    )
    """
    Files beside the command, by their name in the working directory. May be given as a list
    of paths, URLs and `File`, which then have their own names.
    """
    environment: Mapping[str, str] = attrs.field(
        factory=dict,
        converter=to_environment,
        kw_only=True,
        repr=False,
        metadata=in_documents(write=dict, schema=ENVIRONMENT_SCHEMA),
    )
    """Variables set for the command. Values are literal: nothing in them is expanded."""
    python_environment: str | None = attrs.field(
        default=None,
        converter=to_environment_source,
        kw_only=True,
        metadata=in_documents(
            omit_default=True, schema={"type": ["string", "null"], "minLength": 1}
        ),
    )
    """
    The Python that the command runs with: the directory of a virtual environment, of a conda
    environment or of any other that can be moved, which is packed at submission; an archive of
    one (`.tar.gz`, `.tgz`, `.tar`, `.zip`), also by its `hdfs://` URL; or `RUNNING_ENVIRONMENT`.

    In the container `$PYTHON_BIN` is its interpreter, `$CONDA_PREFIX` its directory, and its
    programs come first on the `PATH`. Default: what the node has.
    """
    depends: Depends = attrs.field(
        factory=dict,
        converter=to_depends,
        kw_only=True,
        metadata=in_documents(
            read=depends_from_document,
            write=depends_to_document,
            omit_default=True,
            schema=DEPENDS_SCHEMA,
        ),
    )
    """
    What it waits for before its first containers are asked for: a list of services that have to
    be ready, or a mapping of services to what has to be true of them: `started`, `ready`,
    `finished`. Once it has begun it waits for nothing again.
    """
    max_restarts: int = attrs.field(
        default=DEFAULT_MAX_RESTARTS,
        validator=whole_number(0),
        kw_only=True,
        metadata=OMIT_DEFAULT,
    )
    """
    How many times a rank is started again after its program failed: short for
    `RestartBudget(N, [EXITED, OUT_OF_MEMORY, LOCALIZATION_FAILED, KILLED_BY_YARN, UNHEALTHY])`.
    """
    max_replacements: int = attrs.field(
        default=DEFAULT_MAX_REPLACEMENTS,
        validator=whole_number(0),
        kw_only=True,
        metadata=OMIT_DEFAULT,
    )
    """
    How many times a rank is replaced after YARN took its container away: short for
    `RestartBudget(N, [PREEMPTED, NODE_LOST, DISK_FAILED, LAUNCH_FAILED])`.
    """
    restart_budgets: tuple[RestartBudget, ...] = attrs.field(
        default=(),
        converter=to_budgets,
        kw_only=True,
        metadata=in_documents(read=None, omit_default=True, schema={"maxItems": MOST_BUDGETS}),
    )
    """
    When a rank that failed is filled again, said in full, in place of `max_restarts` and
    `max_replacements`, which are then left out. A failure is charged to the budget that names
    its reason; one that no budget names is final, as one whose budget is spent. At most 16.
    """
    back_off: BackOff | None = attrs.field(
        default=None,
        validator=optional(instance_of(BackOff)),
        kw_only=True,
        metadata=OMIT_DEFAULT,
    )
    """How long a rank rests before it is filled again. Default: `BackOff()`."""
    failure_policy: FailurePolicy = attrs.field(
        default=FailurePolicy.FAIL_APPLICATION,
        validator=instance_of(FailurePolicy),
        kw_only=True,
    )
    """What the failure of a rank, once its budgets are spent, means for the others."""
    placement: Placement | None = attrs.field(
        default=None,
        validator=optional(instance_of(Placement)),
        kw_only=True,
        metadata=OMIT_DEFAULT,
    )
    """Where its containers may be. Default: anywhere, with the application's node label."""
    readiness: Readiness | None = attrs.field(
        default=None,
        validator=optional(instance_of(Readiness)),
        kw_only=True,
        metadata=OMIT_DEFAULT,
    )
    """When a container counts as ready. Default: after it has been RUNNING for a second."""
    liveness: Probe | None = attrs.field(
        default=None,
        validator=optional(instance_of(Probe)),
        kw_only=True,
        metadata=OMIT_DEFAULT,
    )
    """
    What ends a container that is alive and no use. Needs an agent: refused at submission with
    the reason NEEDS_AGENT.
    """
    stop_grace: timedelta | None = attrs.field(
        default=None,
        validator=optional(duration(most=LONGEST_STOP_GRACE, words="between 0 and 1 hour")),
        kw_only=True,
        metadata=OMIT_DEFAULT,
    )
    """
    How long a process has between SIGTERM and SIGKILL, 1 hour at most. Nodes give 250 ms by
    default; more is honoured once there is an agent in the container. Default: the node's.
    """
    starts_together: bool = attrs.field(
        default=False, validator=true_or_false, kw_only=True, metadata=OMIT_DEFAULT
    )
    """
    Whether its containers start together or not at all: those that are granted are held until
    all are, at most 9 minutes; then all of them are given back and asked for anew.
    """
    allocation_limit: timedelta | None = attrs.field(
        default=None,
        validator=optional(duration(timedelta(seconds=1))),
        kw_only=True,
        metadata=OMIT_DEFAULT,
    )
    """How long its containers may wait for YARN. Default: without end."""
    allocation_policy: AllocationPolicy = attrs.field(
        default=AllocationPolicy.FAIL,
        validator=instance_of(AllocationPolicy),
        kw_only=True,
        metadata=OMIT_DEFAULT,
    )
    """What happens after that."""
    update_policy: UpdatePolicy | None = attrs.field(
        default=None,
        validator=optional(instance_of(UpdatePolicy)),
        kw_only=True,
        metadata=OMIT_DEFAULT,
    )
    """How it changes from one revision to the next. Default: `UpdatePolicy()`."""
    access: Access = attrs.field(
        default=Access.CONTAINER,
        validator=instance_of(Access),
        kw_only=True,
        metadata=OMIT_DEFAULT,
    )
    """What its containers may ask of the Application Master."""
    resource_manager_token: bool = attrs.field(
        default=False, validator=true_or_false, kw_only=True, metadata=OMIT_DEFAULT
    )
    """
    With Kerberos, whether its containers are given the ResourceManager's delegation token, with
    which they may submit and kill applications as the user: `knit.Client` works in them then.
    """
    scale_down_order: ScaleDownOrder = attrs.field(
        default=ScaleDownOrder.HIGHEST_RANK_FIRST,
        validator=instance_of(ScaleDownOrder),
        kw_only=True,
        metadata=OMIT_DEFAULT,
    )
    """Which containers end first when there are to be fewer, unless the request says."""

    def __attrs_post_init__(self) -> None:
        if self.python_environment is not None and ENVIRONMENT_NAME in self.files:
            raise DuplicateFileError(
                f"{self.files[ENVIRONMENT_NAME].source} would be {ENVIRONMENT_NAME!r} in the "
                "working directory, which is the Python environment's name: give it another one."
            )
        check_sizes(self.command, self.environment)
        numbers = (self.max_restarts, self.max_replacements)
        if self.restart_budgets and numbers != (DEFAULT_MAX_RESTARTS, DEFAULT_MAX_REPLACEMENTS):
            raise SpecError(
                "restart_budgets is given beside max_restarts or max_replacements, which are "
                "short for two budgets: say all of it in restart_budgets."
            )
        if self.allocation_policy is not AllocationPolicy.FAIL and self.allocation_limit is None:
            raise SpecError(
                f"allocation_policy is {self.allocation_policy.name.lower()}, and there is no "
                "limit after which it holds: give allocation_limit."
            )

    @property
    def budgets(self) -> tuple[RestartBudget, ...]:
        """What holds: `restart_budgets`, or what the two numbers stand for."""
        return self.restart_budgets or budgets_of(self.max_restarts, self.max_replacements)

    def _below(self, directory: Path) -> Service:
        """The same service, with relative paths taken from a directory."""
        return attrs.evolve(
            self,
            files={n: file._below(directory) for n, file in self.files.items()},
            python_environment=environment_below(directory, self.python_environment),
        )

    @classmethod
    def _from_proto(cls, message: service_pb2.ServiceSpec) -> Service:
        files, environment = files_from_proto(message.local_resources, message.python_environment)
        budgets = tuple(map(RestartBudget._from_proto, message.restart_budgets))
        numbers = as_numbers(budgets)
        short = numbers or (DEFAULT_MAX_RESTARTS, DEFAULT_MAX_REPLACEMENTS)

        def part(name: str, kind: Any) -> Any:
            return kind._from_proto(getattr(message, name)) if message.HasField(name) else None  # type: ignore[arg-type]

        return as_said(
            cls,
            command=message.command,
            instances=message.instances,
            resources=Resources._from_proto(message.resource),
            files=files,
            environment=dict(message.environment),
            python_environment=environment,
            depends={
                d.service_name: DependencyCondition(d.condition or 2) for d in message.depends
            },
            max_restarts=short[0],
            max_replacements=short[1],
            restart_budgets=() if numbers is not None else budgets,
            back_off=part("back_off", BackOff),
            failure_policy=FailurePolicy(message.failure_policy or 1),  # not said: as this
            placement=part("placement", Placement),
            readiness=part("readiness", Readiness),
            liveness=part("liveness", Probe),
            stop_grace=duration_of(message, "stop_grace"),
            starts_together=message.starts_together,
            allocation_limit=duration_of(message, "allocation_limit"),
            allocation_policy=AllocationPolicy(message.allocation_policy or 1),
            update_policy=part("update_policy", UpdatePolicy),
            access=Access(message.access or 1),
            resource_manager_token=message.resource_manager_token,
            scale_down_order=ScaleDownOrder(message.scale_down_order or 1),
        )

    def _to_proto(
        self, local_resources: Mapping[str, service_pb2.LocalResource]
    ) -> service_pb2.ServiceSpec:
        """
        The message for the Application Master.

        Args:
            local_resources: What holds `files` and the Python environment, by its name, as it
                was found or put on the cluster.
        """
        from knit.v1 import service_pb2 as pb

        return pb.ServiceSpec(
            command=self.command,
            instances=self.instances,
            resource=self.resources._to_proto(),
            environment=self.environment,
            local_resources=local_resources,
            python_environment=ENVIRONMENT_NAME if self.python_environment is not None else "",
            depends=[
                pb.Dependency(
                    service_name=name, condition=pb.DependencyCondition.ValueType(condition)
                )
                for name, condition in self.depends.items()
            ],
            restart_budgets=[budget._to_proto() for budget in self.budgets],
            back_off=_message(self.back_off),
            failure_policy=pb.FailurePolicy.ValueType(self.failure_policy),
            placement=_message(self.placement),
            readiness=_message(self.readiness),
            liveness=_message(self.liveness),
            stop_grace=duration_to_proto(self.stop_grace),
            starts_together=self.starts_together,
            allocation_limit=duration_to_proto(self.allocation_limit),
            allocation_policy=pb.AllocationPolicy.ValueType(self.allocation_policy),
            update_policy=_message(self.update_policy),
            access=pb.Access.ValueType(self.access),
            resource_manager_token=self.resource_manager_token,
            scale_down_order=pb.ScaleDownOrder.ValueType(self.scale_down_order),
        )


def _message(part: Any) -> Any:
    return None if part is None else part._to_proto()
