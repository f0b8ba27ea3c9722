"""What of a specification only this machine knows: its files and environments."""

from __future__ import annotations

import functools
import os
import stat
from collections.abc import Callable, Iterator

from knit._submission.keytabs import read_keytab_of
from knit._values.driver import Driver
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
    for error in local_problems(spec):
        raise error


def local_problems(spec: ApplicationSpec) -> Iterator[SpecError | PythonEnvironmentError]:
    """All that this machine lacks, each by itself."""
    if spec.master_ports is None:
        yield from _problem("", ports_from_environment)
    for name, service in spec.services.items():
        yield from _problems_of(f"services.{name}.", service)
    if spec.driver is not None:
        yield from _problems_of("driver.", spec.driver)
    yield from _problem("keytab: ", functools.partial(read_keytab_of, spec))
    for index, grant in enumerate(spec.client_grants):
        yield from _problem(f"client_grants[{index}].certificate: ", grant.fingerprint)


def check_service(name: str, service: Service) -> None:
    """Checks the files of one service, as `check_local` does."""
    for error in _problems_of(f"services.{name}.", service):
        raise error


def _problems_of(
    where: str, part: Service | Driver
) -> Iterator[SpecError | PythonEnvironmentError]:
    for file in part.files.values():
        yield from _problem(f"{where}files: ", functools.partial(check_file, file))
    source = part.python_environment
    if source is not None:
        from knit import _environments

        check = functools.partial(_environments.check_source, source)
        yield from _problem(f"{where}python_environment: ", check)


def _problem(
    where: str, check: Callable[[], object]
) -> Iterator[SpecError | PythonEnvironmentError]:
    try:
        check()
    except (SpecError, PythonEnvironmentError) as error:
        yield type(error)(f"{where}{error}")


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
