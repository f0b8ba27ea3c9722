"""A program beside the Application Master, whose end is the application's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from knit._values.checking import instance_of, text, true_or_false
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
from knit._values.reading import as_said
from knit._values.services import Access
from knit._values.variables import ENVIRONMENT_SCHEMA, check_sizes, to_environment
from knit.exceptions import DuplicateFileError, SpecError

if TYPE_CHECKING:
    from knit.v1 import application_pb2, service_pb2

JAR_NAME = "knit-am.jar"
"""What lies in the Application Master's container already."""
MOST_DRIVER_FILES = 100
"""YARN carries each of them in the submission."""


@attrs.frozen
class Driver:
    """
    A command that runs in the Application Master's container, and whose end is the application's.

    With exit code 0 the application SUCCEEDED, else it FAILED. Services that all end do not end
    it; one that fails does, as its failure policy says. It begins anew with each attempt. Of the
    container's memory the Application Master takes some 250 MiB; the rest is the driver's.
    """

    command: str = attrs.field(validator=text)
    """The command, as a service's."""
    files: Mapping[str, File] = attrs.field(
        factory=dict,
        converter=to_files,
        kw_only=True,
        metadata=in_documents(read=files_from_document, omit_default=True, schema=FILES_SCHEMA),
    )
    """Files beside it, as a service's. At most 100; give a directory in place of many."""
    environment: Mapping[str, str] = attrs.field(
        factory=dict,
        converter=to_environment,
        kw_only=True,
        repr=False,
        metadata=in_documents(write=dict, omit_default=True, schema=ENVIRONMENT_SCHEMA),
    )
    """Variables, as a service's."""
    python_environment: str | None = attrs.field(
        default=None,
        converter=to_environment_source,
        kw_only=True,
        metadata=in_documents(
            omit_default=True, schema={"type": ["string", "null"], "minLength": 1}
        ),
    )
    """The Python that it runs with, as a service's."""
    access: Access = attrs.field(
        default=Access.CONTAINER,
        validator=instance_of(Access),
        kw_only=True,
        metadata=OMIT_DEFAULT,
    )
    """
    What it may ask of the Application Master, as a service's containers. One that scales, updates
    or stops services needs `OPERATOR`.
    """
    resource_manager_token: bool = attrs.field(
        default=False, validator=true_or_false, kw_only=True, metadata=OMIT_DEFAULT
    )
    """
    With Kerberos, whether it is given the ResourceManager's delegation token, as a service's
    containers.
    """

    def __attrs_post_init__(self) -> None:
        taken = {JAR_NAME: "the Application Master's own"}
        if self.python_environment is not None:
            taken[ENVIRONMENT_NAME] = "the Python environment's"
        for name, whose in taken.items():
            if name in self.files:
                raise DuplicateFileError(
                    f"{self.files[name].source} would be {name!r} in the working directory, "
                    f"which is {whose} name: give it another one."
                )
        if len(self.files) > MOST_DRIVER_FILES:
            raise SpecError(
                f"files has {len(self.files)} entries: give {MOST_DRIVER_FILES} at most to a "
                "driver, or a directory that holds them."
            )
        check_sizes(self.command, self.environment)

    def _below(self, directory: Path) -> Driver:
        """The same driver, with relative paths taken from a directory."""
        return attrs.evolve(
            self,
            files={n: file._below(directory) for n, file in self.files.items()},
            python_environment=environment_below(directory, self.python_environment),
        )

    @classmethod
    def _from_proto(cls, message: application_pb2.Driver) -> Driver:
        files, environment = files_from_proto(message.local_resources, message.python_environment)
        return as_said(
            cls,
            command=message.command,
            files=files,
            environment=dict(message.environment),
            python_environment=environment,
            access=Access(message.access or 1),
            resource_manager_token=message.resource_manager_token,
        )

    def _to_proto(
        self, local_resources: Mapping[str, service_pb2.LocalResource]
    ) -> application_pb2.Driver:
        """
        The message for the Application Master.

        Args:
            local_resources: What holds `files` and the Python environment, by its name, as it
                was found or put on the cluster. YARN brings them; the message only tells of them.
        """
        from knit.v1 import application_pb2, service_pb2

        return application_pb2.Driver(
            command=self.command,
            environment=self.environment,
            python_environment=ENVIRONMENT_NAME if self.python_environment is not None else "",
            local_resources=local_resources,
            access=service_pb2.Access.ValueType(self.access),
            resource_manager_token=self.resource_manager_token,
        )
