"""What an application consists of, as its user writes it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from knit._values.characters import check_characters
from knit._values.enums import OpenEnum
from knit._values.files import (
    ENVIRONMENT_NAME,
    File,
    environment_below,
    files_from_document,
    to_environment_source,
    to_files,
)
from knit._values.in_documents import in_documents
from knit._values.ports import format_ports, ports_from_environment, to_ports
from knit._values.reading import as_said
from knit._values.resources import Resources, whole_number
from knit.exceptions import DuplicateFileError, SpecError

if TYPE_CHECKING:
    from knit.v1 import application_pb2, service_pb2

LARGEST_ARGUMENT_BYTES = 128 * 1024 - 1
"""Of a command, and of one variable as `NAME=value`: the most Linux passes to a program."""
LARGEST_SERVICE_BYTES = 1024 * 1024
"""Of one service's command and environment together: Linux passes 2 MiB at most in all."""
LARGEST_SPEC_BYTES = 2 * 1024 * 1024
"""
Of a whole specification, which travels in the submission. A ResourceManager that keeps its state
in ZooKeeper takes less, and says so.
"""
LONGEST_LINGER = timedelta(minutes=5)

_SERVICE_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OWN_VARIABLES = frozenset(
    {
        "KNIT_APPLICATION_ID",
        "KNIT_ATTEMPT_NUMBER",
        "KNIT_CONTAINER_ID",
        "KNIT_LAUNCH",
        "KNIT_RANK",
        "KNIT_SERVICE_NAME",
    }
)


class FailurePolicy(OpenEnum):
    """What a rank that failed for good means for the rest of the application."""

    UNKNOWN = 0
    """A value newer than this SDK."""
    FAIL_APPLICATION = 1
    """Everything else is stopped, and the application ends FAILED at once."""
    FINISH_OTHERS = 2
    """The others run to their end; the application then ends FAILED."""


def _text(_: object, attribute: attrs.Attribute[str], value: object) -> None:
    what = f"The {attribute.name.replace('_', ' ')}"
    if not isinstance(value, str):
        raise SpecError(f"{what} is {value!r}: give text.")
    if not value.strip():
        raise SpecError(f"{what} is empty.")
    check_characters(what, value)


def _instance_of(kind: type) -> Callable[[object, attrs.Attribute[Any], object], None]:
    def check(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if not isinstance(value, kind):
            raise SpecError(f"{attribute.name} is {value!r}: give a knit.{kind.__name__}.")

    return check


def _to_environment(value: Mapping[str, str]) -> Mapping[str, str]:
    if not isinstance(value, Mapping):
        raise SpecError("environment is not a mapping of names to values.")
    for name, text in value.items():
        if not isinstance(name, str) or not _VARIABLE_NAME.fullmatch(name):
            raise SpecError(
                f"The environment variable {name!r} has no valid name: use letters, digits and _."
            )
        if name in _OWN_VARIABLES:
            raise SpecError(f"The environment variable {name} is set by knit: leave it out.")
        # Its value may be secret, so no message shows it.
        if not isinstance(text, str):
            raise SpecError(
                f"The environment variable {name} is given as {type(text).__name__}: give text, "
                "in a file within quotes."
            )
        check_characters(f"The environment variable {name}", text)
    return dict(value)


def check_sizes(command: str, environment: Mapping[str, str]) -> None:
    """
    Refuses what Linux passes to no program.

    Raises:
        SpecError: The command, a variable, or all together are too long.
    """
    sizes = {"The command": len(command.encode())}
    for name, value in environment.items():
        sizes[f"The environment variable {name}"] = len(f"{name}={value}".encode())
    for what, size in sizes.items():
        if size > LARGEST_ARGUMENT_BYTES:
            raise SpecError(
                f"{what} is {size:,} bytes long, more than the {LARGEST_ARGUMENT_BYTES:,} that "
                "Linux passes to a program: put what is long into a file."
            )
    if (size := sum(sizes.values())) > LARGEST_SERVICE_BYTES:
        raise SpecError(
            f"Command and environment are {size:,} bytes long, more than the "
            f"{LARGEST_SERVICE_BYTES:,} that a container is given: put what is long into a file."
        )


@attrs.frozen
class Service:
    """A set of like containers: the same command, in so many places (*ranks*)."""

    command: str = attrs.field(validator=_text)
    """The command, as typed for `bash -c`; it runs exactly as given, whatever it holds."""
    instances: int = attrs.field(default=1, validator=whole_number(0), kw_only=True)
    """How many containers it begins with, of ranks 0 to `instances` - 1. May be 0."""
    resources: Resources = attrs.field(
        factory=Resources, validator=_instance_of(Resources), kw_only=True
    )
    """The size of each container."""
    files: Mapping[str, File] = attrs.field(
        factory=dict,
        converter=to_files,
        kw_only=True,
        metadata=in_documents(read=files_from_document),
    )
    """
    Files beside the command, by their name in the working directory. May be given as a list
    of paths, URLs and `File`, which then have their own names.
    """
    environment: Mapping[str, str] = attrs.field(
        factory=dict,
        converter=_to_environment,
        kw_only=True,
        repr=False,
        metadata=in_documents(write=dict),
    )
    """Variables set for the command. Values are literal: nothing in them is expanded."""
    python_environment: str | None = attrs.field(
        default=None,
        converter=to_environment_source,
        kw_only=True,
        metadata=in_documents(omit_default=True),
    )
    """
    The Python that the command runs with: the directory of a virtual environment, of a conda
    environment or of any other that can be moved, which is packed at submission; an archive of
    one (`.tar.gz`, `.tgz`, `.tar`, `.zip`), also by its `hdfs://` URL; or `RUNNING_ENVIRONMENT`.

    In the container `$PYTHON_BIN` is its interpreter, `$CONDA_PREFIX` its directory, and its
    programs come first on the `PATH`. Default: what the node has.
    """
    max_restarts: int = attrs.field(default=0, validator=whole_number(0), kw_only=True)
    """How many times a rank is started again after its program failed."""
    max_replacements: int = attrs.field(default=3, validator=whole_number(0), kw_only=True)
    """How many times a rank is replaced after YARN took its container away."""
    failure_policy: FailurePolicy = attrs.field(
        default=FailurePolicy.FAIL_APPLICATION,
        validator=_instance_of(FailurePolicy),
        kw_only=True,
    )
    """What the failure of a rank, once its budgets are spent, means for the others."""

    def __attrs_post_init__(self) -> None:
        if self.python_environment is not None and ENVIRONMENT_NAME in self.files:
            raise DuplicateFileError(
                f"{self.files[ENVIRONMENT_NAME].source} would be {ENVIRONMENT_NAME!r} in the "
                "working directory, which is the Python environment's name: give it another one."
            )
        check_sizes(self.command, self.environment)

    @classmethod
    def _from_proto(cls, message: service_pb2.ServiceSpec) -> Service:
        resources = dict(message.local_resources)
        found = resources.pop(message.python_environment, None)
        files: dict[str, File] = {}
        for name, resource in resources.items():
            files |= File._from_proto(name, resource)
        return as_said(
            cls,
            command=message.command,
            instances=message.instances,
            resources=Resources._from_proto(message.resource),
            files=files,
            environment=dict(message.environment),
            python_environment=None if found is None else found.url,
            max_restarts=message.max_restarts,
            max_replacements=(
                message.max_replacements if message.HasField("max_replacements") else 3
            ),
            failure_policy=FailurePolicy(message.failure_policy or 1),  # not said: as this
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
        from knit.v1 import service_pb2

        return service_pb2.ServiceSpec(
            command=self.command,
            instances=self.instances,
            resource=self.resources._to_proto(),
            environment=self.environment,
            local_resources=local_resources,
            python_environment=ENVIRONMENT_NAME if self.python_environment is not None else "",
            max_restarts=self.max_restarts,
            max_replacements=self.max_replacements,
            failure_policy=service_pb2.FailurePolicy.ValueType(self.failure_policy),
        )


def _check_service_name(name: object) -> None:
    if not isinstance(name, str) or not _SERVICE_NAME.fullmatch(name):
        raise SpecError(
            f"The service name {name!r} is not one: use up to 63 lower-case letters, digits "
            "and inner hyphens."
        )


def _to_services(value: Mapping[str, Service]) -> Mapping[str, Service]:
    if not isinstance(value, Mapping) or not value:
        raise SpecError("There is no service: an application has one at least.")
    for name, service in value.items():
        _check_service_name(name)
        if not isinstance(service, Service):
            raise SpecError(f"The service {name!r} is {service!r}: give a knit.Service.")
    return dict(value)


def _to_tags(value: Iterable[str]) -> tuple[str, ...]:
    tags = value if not isinstance(value, str) else None
    if tags is None:
        raise SpecError(f"tags is the text {value!r}: give a list.")
    result = tuple(dict.fromkeys(tags))
    for tag in result:
        if not isinstance(tag, str) or not re.fullmatch(r"[!-+\--~]{1,100}", tag):
            raise SpecError(
                f"The tag {tag!r} is not one: YARN takes 1 to 100 ASCII characters, neither "
                "spaces nor commas."
            )
    return result


def _check_linger(_: object, __: attrs.Attribute[timedelta], value: object) -> None:
    if not isinstance(value, timedelta) or not timedelta() <= value <= LONGEST_LINGER:
        raise SpecError(f"linger is {value!r}: give a timedelta between 0 and 5 minutes.")


@attrs.frozen
class ApplicationSpec:
    """
    What an application consists of.

    It is checked as it is made, as far as that needs neither this machine's files nor the
    cluster; `Client.check` does the rest.

    Raises:
        SpecError: It could run on no cluster.
    """

    name: str = attrs.field(validator=_text)
    """A name for people. Not unique."""
    services: Mapping[str, Service] = attrs.field(
        converter=_to_services, metadata=in_documents(read=None, check_key=_check_service_name)
    )
    """
    The services, by name. A name has up to 63 lower-case letters, digits and inner hyphens.
    """
    queue: str = attrs.field(default="default", validator=_text, kw_only=True)
    """Where the scheduler counts the application."""
    tags: tuple[str, ...] = attrs.field(
        default=(), converter=_to_tags, kw_only=True, metadata=in_documents(write=list)
    )
    """Words to find the application by; YARN keeps them in lower case."""
    max_attempts: int = attrs.field(default=1, validator=whole_number(1), kw_only=True)
    """How many times YARN may start the Application Master; an attempt begins from nothing."""
    application_master: Resources = attrs.field(
        factory=Resources, validator=_instance_of(Resources), kw_only=True
    )
    """The size of the Application Master's own container."""
    linger: timedelta = attrs.field(
        default=timedelta(seconds=10), validator=_check_linger, kw_only=True
    )
    """
    How long the Application Master stays to answer clients, after the outcome was reported to
    YARN, since it last heard from one. At most 5 minutes.
    """
    master_ports: tuple[int, int] | None = attrs.field(
        default=None,
        converter=to_ports,
        kw_only=True,
        metadata=in_documents(write=format_ports, omit_default=True),
    )
    """
    The first and the last of the ports that the Application Master may listen on, also as text
    such as `50100-50200`, for firewalls that let only some through. Default: what the variable
    `KNIT_MASTER_PORTS` says where the application is submitted, else any.
    """

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
    def from_yaml(cls, path: str | os.PathLike[str]) -> ApplicationSpec:
        """
        Reads a YAML file. Relative paths of files begin at its directory.

        Raises:
            FileMissingError: There is no such file.
            SpecError: It is not YAML, or something in it is wrong; the message says where.
        """
        from knit._values import documents

        return documents.from_yaml(cls, Path(path))

    def to_yaml(self) -> str:
        """Returns YAML, from which `from_yaml` makes an equal specification."""
        from knit._values import documents

        return documents.to_yaml(self)

    def _below(self, directory: Path) -> ApplicationSpec:
        """The same specification, with relative paths taken from `directory`."""
        return attrs.evolve(
            self,
            services={
                name: attrs.evolve(
                    service,
                    files={n: file._below(directory) for n, file in service.files.items()},
                    python_environment=environment_below(directory, service.python_environment),
                )
                for name, service in self.services.items()
            },
        )

    def _to_proto(
        self,
        local_resources: Mapping[str, Mapping[str, service_pb2.LocalResource]],
        *,
        staging_url: str = "",
        user_name: str = "",
    ) -> application_pb2.ApplicationSpec:
        """
        The message for the Application Master.

        Args:
            local_resources: By service and name, each file as it lies on the cluster.
            staging_url: The directory the Application Master removes as it leaves.
            user_name: Whom containers are to a cluster with simple authentication.

        Raises:
            SpecError: It is larger than a submission carries.
        """
        from google.protobuf import duration_pb2

        from knit.v1 import application_pb2

        ports = ports_from_environment() if self.master_ports is None else self.master_ports
        linger = duration_pb2.Duration()
        linger.FromTimedelta(self.linger)
        message = application_pb2.ApplicationSpec(
            name=self.name,
            services={
                name: service._to_proto(local_resources.get(name, {}))
                for name, service in self.services.items()
            },
            linger=linger,
            staging_url=staging_url,
            user_name=user_name,
            master_ports=(
                None if ports is None else application_pb2.PortRange(first=ports[0], last=ports[1])
            ),
        )
        if message.ByteSize() > LARGEST_SPEC_BYTES:
            raise SpecError(
                f"The specification is {message.ByteSize():,} bytes long, more than the "
                f"{LARGEST_SPEC_BYTES:,} that a submission carries: put what is long into files."
            )
        return message
