"""What of a specification only this machine knows: its files and environments."""

from __future__ import annotations

import os
import stat

from knit._values.files import File
from knit._values.paths import look_at
from knit._values.ports import ports_from_environment
from knit._values.services import Service
from knit._values.spec import ApplicationSpec
from knit.exceptions import FileMissingError, PythonEnvironmentError, SpecError


def check_local(spec: ApplicationSpec) -> None:
    """
    Checks what only this machine knows: its files.

    Raises:
        FileMissingError: A file does not exist.
        SpecError: It cannot be read, or `KNIT_MASTER_PORTS` names no ports.
        PythonEnvironmentError: An environment is none, or would not run elsewhere.
    """
    if spec.master_ports is None:
        ports_from_environment()
    for name, service in spec.services.items():
        check_service(name, service)


def check_service(name: str, service: Service) -> None:
    """Checks the files of one service, as `check_local` does."""
    if service.python_environment is not None:
        from knit import _environments

        try:
            _environments.check_source(service.python_environment)
        except (SpecError, PythonEnvironmentError) as error:
            where = f"services.{name}.python_environment"
            raise type(error)(f"{where}: {error}") from None
    for file in service.files.values():
        try:
            check_file(file)
        except SpecError as error:  # noqa: PERF203 - it says where
            raise type(error)(f"services.{name}.files: {error}") from None


def check_file(file: File) -> None:
    """
    Checks that a file of this machine can be sent.

    Raises:
        FileMissingError: It does not exist.
        SpecError: It cannot be read, or is of a kind that cannot be sent.
    """
    path = file.local_path
    if path is None:
        return
    found = look_at(path, what="file")
    if found is None:
        raise FileMissingError(f"The file {path} does not exist on this machine.")
    if stat.S_ISDIR(found.st_mode):
        if file.archive:
            raise SpecError(
                f"{path} is a directory, and no archive: leave out that it is one, and it is "
                "packed as it is sent."
            )
        if not os.access(path, os.R_OK | os.X_OK):
            raise SpecError(f"The directory {path} cannot be read: check its permissions.")
    elif not stat.S_ISREG(found.st_mode):
        raise SpecError(f"{path} is neither a file nor a directory: give one of these.")
    elif not os.access(path, os.R_OK):
        raise SpecError(f"The file {path} cannot be read: check its permissions.")
