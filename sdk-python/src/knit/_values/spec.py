"""What an application consists of, as its user writes it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from knit._values.access import MOST_GRANTS, AccessControl, ClientGrant, to_grants
from knit._values.annotations import (
    ANNOTATIONS_SCHEMA,
    annotations_from_document,
    annotations_to_document,
    to_annotations,
)
from knit._values.application_master import AttemptPolicy, LogLevel, check_master
from knit._values.checking import (
    duration,
    instance_of,
    label_or_none,
    matching,
    optional,
    text,
    whole_number,
)
from knit._values.dependencies import check_dependencies
from knit._values.driver import Driver
from knit._values.durations import duration_of, duration_to_proto
from knit._values.file_systems import FILE_SYSTEMS_IN_DOCUMENTS, FileSystem, to_file_systems
from knit._values.in_documents import OMIT_DEFAULT, in_documents
from knit._values.paths import below, to_path_or_none
from knit._values.places import at
from knit._values.ports import PORTS_SCHEMA, format_ports, ports_from_environment, to_ports
from knit._values.reading import as_said
from knit._values.resources import Resources
from knit._values.services import MOST_INSTANCES, SERVICE_NAME, Service, check_service_name
from knit._values.tags import TAGS_SCHEMA, to_tags
from knit._values.variables import ENVIRONMENT_SCHEMA, check_sizes, to_environment
from knit.exceptions import SpecError

if TYPE_CHECKING:
    from knit.v1 import application_pb2, service_pb2

LARGEST_SPEC_BYTES = 2 * 1024 * 1024
"""
Of a whole specification, which travels in the submission. A ResourceManager that keeps its state
in ZooKeeper takes less, and says so.
"""
LONGEST_LINGER = timedelta(minutes=5)
DEFAULT_LINGER = timedelta(seconds=10)
"""Also the contract's, where nothing is said."""
MOST_SERVICES = 1_000
APPLICATION_TYPE = "knit"


def _to_services(value: Mapping[str, Service]) -> Mapping[str, Service]:
    if not isinstance(value, Mapping):
        raise SpecError("services is not a mapping of names to services.")
    if len(value) > MOST_SERVICES:
        raise SpecError(
            f"There are {len(value):,} services: give {MOST_SERVICES:,} at most; containers that "
            "are alike are instances of one."
        )
    for name, service in value.items():
        check_service_name(name)
        if not isinstance(service, Service):
            raise SpecError(f"The service {name!r} is {service!r}: give a knit.Service.")
    return dict(value)


@attrs.frozen
class ApplicationSpec:
    """
    What an application consists of.

    It is checked as it is made, as far as that needs neither this machine's files nor the
    cluster; `Client.check` does the rest.

    Raises:
        SpecError: It could run on no cluster.
    """

    name: str = attrs.field(validator=text)
    """A name for people. Not unique."""
    services: Mapping[str, Service] = attrs.field(
        factory=dict,
        converter=_to_services,
        metadata=in_documents(
            read=None,
            check_key=check_service_name,
            schema={
                "maxProperties": MOST_SERVICES,
                "propertyNames": {"pattern": f"^{SERVICE_NAME}$"},
            },
        ),
    )
    """
    The services, by name; at most 1,000. A name has up to 63 letters, digits and inner hyphens,
    dots and underscores. There is one at least, unless there is a driver.
    """
    queue: str = attrs.field(default="default", validator=text, kw_only=True)
    """Where the scheduler counts the application."""
    priority: int | None = attrs.field(
        default=None, validator=optional(whole_number(0)), kw_only=True, metadata=OMIT_DEFAULT
    )
    """Within the queue: higher first. Default: the queue's."""
    tags: tuple[str, ...] = attrs.field(
        default=(),
        converter=to_tags,
        kw_only=True,
        metadata=in_documents(write=list, schema=TAGS_SCHEMA),
    )
    """Words to find the application by, at most 10; YARN keeps them in lower case."""
    type: str = attrs.field(
        default=APPLICATION_TYPE,
        validator=matching(
            r"[!-+\--~]{1,20}", "1 to 20 ASCII characters, neither spaces nor commas"
        ),
        kw_only=True,
        metadata=OMIT_DEFAULT,
    )
    """YARN's application type, by which lists are filtered; `knit list` shows `knit`'s."""
    user: str | None = attrs.field(
        default=None,
        validator=optional(matching(r"[^\s,:/]{1,255}", "a user's name")),
        kw_only=True,
        metadata=OMIT_DEFAULT,
    )
    """
    Whose it is to be. So far it can be only whoever submits it; another one is refused at
    submission. Default: whoever submits it.
    """
    lifetime: timedelta | None = attrs.field(
        default=None,
        validator=optional(duration(timedelta(seconds=1))),
        kw_only=True,
        metadata=OMIT_DEFAULT,
    )
    """YARN ends the application so long after its submission. Default: the queue's, else never."""
    node_label: str | None = attrs.field(
        default=None, validator=label_or_none, kw_only=True, metadata=OMIT_DEFAULT
    )
    """
    The partition (node label) its containers are in, unless their service says; the Application
    Master's too. Default: the queue's.
    """
    max_attempts: int = attrs.field(default=1, validator=whole_number(1), kw_only=True)
    """How many times YARN may start the Application Master; an attempt begins from nothing."""
    attempt_failures_validity: timedelta | None = attrs.field(
        default=None,
        validator=optional(duration(timedelta(seconds=1))),
        kw_only=True,
        metadata=OMIT_DEFAULT,
    )
    """Attempts that failed longer ago do not count. Default: all count."""
    attempt_policy: AttemptPolicy = attrs.field(
        default=AttemptPolicy.CRASHES,
        validator=instance_of(AttemptPolicy),
        kw_only=True,
        metadata=OMIT_DEFAULT,
    )
    """Whether only a crashed Application Master is tried again, or a failed application too."""
    access_control: AccessControl | None = attrs.field(
        default=None,
        validator=optional(instance_of(AccessControl)),
        kw_only=True,
        metadata=OMIT_DEFAULT,
    )
    """Who else may see and change it at the ResourceManager. Default: nobody but the cluster's
    and the queue's administrators."""
    application_master: Resources = attrs.field(
        factory=Resources, validator=check_master, kw_only=True
    )
    """The size of the Application Master's own container, a driver's included."""
    master_environment: Mapping[str, str] = attrs.field(
        factory=dict,
        converter=to_environment,
        kw_only=True,
        repr=False,
        metadata=in_documents(write=dict, omit_default=True, schema=ENVIRONMENT_SCHEMA),
    )
    """Variables of the Application Master's own process, such as `JAVA_TOOL_OPTIONS`."""
    master_node_label: str | None = attrs.field(
        default=None, validator=label_or_none, kw_only=True, metadata=OMIT_DEFAULT
    )
    """The partition of the Application Master's container. Default: `node_label`."""
    master_log_level: LogLevel = attrs.field(
        default=LogLevel.INFO,
        validator=instance_of(LogLevel),
        kw_only=True,
        metadata=OMIT_DEFAULT,
    )
    """Which messages the Application Master writes to its own log."""
    master_ports: tuple[int, int] | None = attrs.field(
        default=None,
        converter=to_ports,
        kw_only=True,
        metadata=in_documents(write=format_ports, omit_default=True, schema=PORTS_SCHEMA),
    )
    """
    The first and the last of the ports that the Application Master may listen on, also as text
    such as `50100-50200`, for firewalls that let only some through. Default: what the variable
    `KNIT_MASTER_PORTS` says where the application is submitted, else any.
    """
    linger: timedelta = attrs.field(
        default=DEFAULT_LINGER,
        validator=duration(most=LONGEST_LINGER, words="between 0 and 5 minutes"),
        kw_only=True,
    )
    """
    How long the Application Master stays to answer clients, after the outcome was reported to
    YARN, since it last heard from one. At most 5 minutes.
    """
    annotations: Mapping[str, bytes] = attrs.field(
        factory=dict,
        converter=to_annotations,
        kw_only=True,
        repr=False,
        metadata=in_documents(
            read=annotations_from_document,
            write=annotations_to_document,
            omit_default=True,
            schema=ANNOTATIONS_SCHEMA,
        ),
    )
    """
    Yours: given back to owners and containers, never read by knit. Text, which becomes UTF-8, or
    bytes, which a document writes as `{base64: …}`. At most 64 KiB in all.
    """
    driver: Driver | None = attrs.field(
        default=None,
        validator=optional(instance_of(Driver)),
        kw_only=True,
        metadata=OMIT_DEFAULT,
    )
    """A command in the Application Master's container, whose end is the application's."""
    client_grants: tuple[ClientGrant, ...] = attrs.field(
        default=(),
        converter=to_grants,
        kw_only=True,
        metadata=in_documents(read=None, omit_default=True, schema={"maxItems": MOST_GRANTS}),
    )
    """Further clients, by their certificates, and what they may do. At most 100."""
    file_systems: tuple[FileSystem, ...] = attrs.field(
        default=(), converter=to_file_systems, kw_only=True, metadata=FILE_SYSTEMS_IN_DOCUMENTS
    )
    """
    Further file systems that its programs use: with Kerberos it is given delegation tokens for
    them. Those of the files it names need not be here. At most 64.
    """
    keytab: str | None = attrs.field(
        default=None,
        converter=to_path_or_none,
        kw_only=True,
        metadata=in_documents(
            omit_default=True, schema={"type": ["string", "null"], "minLength": 1}
        ),
    )
    """
    The path of a keytab on this machine, with which the Application Master fetches new delegation
    tokens before the old ones end. It travels in the submission, over https or encrypted RPC only,
    and lies with the ResourceManager for as long as the application lives. Default: none; then the
    tokens end after their maximum lifetime, a week by default.
    """
    principal: str | None = attrs.field(
        default=None,
        validator=optional(
            matching(r"[^\s@/]+(?:/[^\s@/]+)?@[^\s@/]+", "a principal, such as alice@EXAMPLE.COM")
        ),
        kw_only=True,
        metadata=OMIT_DEFAULT,
    )
    """Whose keytab it is, `alice@EXAMPLE.COM`. Default: the only principal that is in it."""

    def __attrs_post_init__(self) -> None:
        if not self.services and self.driver is None:
            raise at(
                ("services",), "There is no service: an application has one at least, or a driver."
            )
        ranks = sum(service.instances for service in self.services.values())
        if ranks > MOST_INSTANCES:
            raise at(
                ("services",),
                f"They begin with {ranks:,} containers together: an application has "
                f"{MOST_INSTANCES:,} at most.",
            )
        check_dependencies({n: service.depends for n, service in self.services.items()})
        check_sizes("", self.master_environment)

    @classmethod
    def from_dict(
        cls, data: Mapping[str, Any], *, directory: str | os.PathLike[str] | None = None
    ) -> ApplicationSpec:
        """
        Reads plain data, as from YAML or JSON; `to_dict` is its inverse.

        Args:
            data: Keys are the names of the fields; unknown ones are refused.
            directory: Where relative paths of files begin. Default: they are left as they are,
                and begin at the working directory.

        Raises:
            SpecError: Something in it is wrong; the message says where.
        """
        from knit._values import documents

        return documents.from_dict(cls, data, Path(directory) if directory is not None else None)

    def to_dict(self) -> dict[str, Any]:
        """Returns plain data, from which `from_dict` makes an equal specification."""
        from knit._values import documents

        return documents.to_dict(self)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> ApplicationSpec:
        """
        Reads a file of YAML, or of JSON where its name ends in `.json`.

        Relative paths of files begin at its directory.

        Raises:
            FileMissingError: There is no such file.
            SpecError: It is not YAML or JSON, or something in it is wrong; the message says where.
        """
        from knit._values import documents

        return documents.from_file(cls, Path(path))

    @classmethod
    def from_yaml(cls, path: str | os.PathLike[str]) -> ApplicationSpec:
        """Reads a YAML file, as `from_file`."""
        from knit._values import documents

        return documents.from_file(cls, Path(path), is_json=False)

    @classmethod
    def from_json(cls, path: str | os.PathLike[str]) -> ApplicationSpec:
        """Reads a JSON file, as `from_file`."""
        from knit._values import documents

        return documents.from_file(cls, Path(path), is_json=True)

    def to_yaml(self) -> str:
        """Returns YAML, from which `from_yaml` makes an equal specification."""
        from knit._values import documents

        return documents.to_yaml(self)

    def to_json(self) -> str:
        """Returns JSON, from which `from_json` makes an equal specification."""
        from knit._values import documents

        return documents.to_json(self)

    def _below(self, directory: Path) -> ApplicationSpec:
        """The same specification, with relative paths taken from `directory`."""
        return attrs.evolve(
            self,
            services={n: service._below(directory) for n, service in self.services.items()},
            driver=None if self.driver is None else self.driver._below(directory),
            client_grants=[grant._below(directory) for grant in self.client_grants],
            keytab=None if self.keytab is None else below(directory, self.keytab),
        )

    @classmethod
    def _from_proto(cls, message: application_pb2.ApplicationSpec) -> ApplicationSpec:
        """What was submitted, as far as an Application Master tells: see GetApplication."""
        told, linger = message.submission, duration_of(message, "linger")
        ports = message.master_ports
        return as_said(
            cls,
            name=message.name,
            services={n: Service._from_proto(s) for n, s in sorted(message.services.items())},
            queue=told.queue or "default",
            priority=told.priority if told.HasField("priority") else None,
            tags=tuple(told.tags),
            type=told.application_type or APPLICATION_TYPE,
            user=told.user or None,
            lifetime=duration_of(told, "lifetime"),
            node_label=message.node_label or None,
            max_attempts=told.max_attempts or 1,
            attempt_failures_validity=duration_of(told, "attempt_failures_validity"),
            attempt_policy=AttemptPolicy(message.attempt_policy or 1),
            access_control=(
                AccessControl._from_proto(message.access_control)
                if message.HasField("access_control")
                else None
            ),
            application_master=(
                Resources._from_proto(told.master_resource)
                if told.HasField("master_resource")
                else Resources()
            ),
            master_environment=dict(told.master_environment),
            master_node_label=told.master_node_label or None,
            master_log_level=LogLevel(message.log_level or 2),
            master_ports=(ports.first, ports.last) if message.HasField("master_ports") else None,
            linger=DEFAULT_LINGER if linger is None else linger,
            annotations=dict(message.annotations),
            driver=Driver._from_proto(message.driver) if message.HasField("driver") else None,
            client_grants=tuple(map(ClientGrant._from_proto, message.client_grants)),
            file_systems=tuple(map(FileSystem._from_proto, message.file_systems)),
            principal=message.principal or None,
        )

    def _to_proto(
        self,
        local_resources: Mapping[str, Mapping[str, service_pb2.LocalResource]],
        *,
        driver_resources: Mapping[str, service_pb2.LocalResource] | None = None,
        staging_url: str = "",
        user_name: str = "",
        principal: str | None = None,
    ) -> application_pb2.ApplicationSpec:
        """
        The message for the Application Master.

        Args:
            local_resources: By service and name, each file as it lies on the cluster.
            driver_resources: By name, the driver's. Default: none.
            staging_url: The directory the Application Master removes as it leaves.
            user_name: Whom containers are to a cluster with simple authentication.
            principal: Whose keytab goes with it. Default: as the specification says.

        Raises:
            SpecError: It is larger than a submission carries.
        """
        from knit.v1 import application_pb2 as pb

        ports = ports_from_environment() if self.master_ports is None else self.master_ports
        acls, driver = self.access_control, self.driver
        message = pb.ApplicationSpec(
            name=self.name,
            services={
                name: service._to_proto(local_resources.get(name, {}))
                for name, service in self.services.items()
            },
            linger=duration_to_proto(self.linger),
            staging_url=staging_url,
            user_name=user_name,
            master_ports=(None if ports is None else pb.PortRange(first=ports[0], last=ports[1])),
            driver=None if driver is None else driver._to_proto(driver_resources or {}),
            attempt_policy=pb.AttemptPolicy.ValueType(self.attempt_policy),
            node_label=self.node_label or "",
            annotations=self.annotations,
            submission=pb.Submission(
                queue=self.queue,
                priority=self.priority,
                tags=self.tags,
                application_type=self.type,
                max_attempts=self.max_attempts,
                attempt_failures_validity=duration_to_proto(self.attempt_failures_validity),
                lifetime=duration_to_proto(self.lifetime),
                master_resource=self.application_master._to_proto(),
                master_node_label=self.master_node_label or "",
                master_environment=self.master_environment,
                user=self.user or "",
            ),
            access_control=None if acls is None else acls._to_proto(),
            client_grants=[grant._to_proto() for grant in self.client_grants],
            log_level=pb.LogLevel.ValueType(self.master_log_level),
            file_systems=[each._to_proto() for each in self.file_systems],
            principal=(self.principal if principal is None else principal) or "",
        )
        if message.ByteSize() > LARGEST_SPEC_BYTES:
            raise SpecError(
                f"The specification is {message.ByteSize():,} bytes long, more than the "
                f"{LARGEST_SPEC_BYTES:,} that a submission carries: put what is long into files."
            )
        return message
