"""What has to be on the cluster before an application can run, and under which names."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from knit._staging.values import LocalResource, LocalResourceVisibility, StagedFile
from knit._submission.packed import SUFFIX, bundled, write_directory
from knit._values.files import ENVIRONMENT_NAME, File, Visibility
from knit._values.paths import reason
from knit.exceptions import SpecError

if TYPE_CHECKING:
    from knit._environments import PackingProgress
    from knit._values.driver import Driver
    from knit._values.services import Service
    from knit.v1 import service_pb2


@attrs.frozen(kw_only=True)
class Shipment:
    """One thing that a service, or the driver, finds in its working directory."""

    service: str | None
    """Its name. None: the driver."""
    name: str
    """In the working directory."""
    file: StagedFile
    member_names: tuple[str, ...] = ()
    """Of an archive whose files lie beside the command, their names."""

    def to_proto(self, resource: LocalResource) -> service_pb2.LocalResource:
        """The message for the Application Master, of what was made of it on the cluster."""
        from google.protobuf.timestamp_pb2 import Timestamp

        from knit.v1 import service_pb2

        modify_time = Timestamp()
        modify_time.FromMilliseconds(resource.modify_time_ms)
        types, visibilities = (
            service_pb2.LocalResourceType,
            service_pb2.LocalResourceVisibility,
        )
        return service_pb2.LocalResource(
            url=resource.url,
            size_bytes=resource.size_bytes,
            modify_time=modify_time,
            type=types.Value(f"LOCAL_RESOURCE_TYPE_{resource.type}"),
            visibility=visibilities.Value(f"LOCAL_RESOURCE_VISIBILITY_{resource.visibility}"),
            member_names=self.member_names,
        )


class Packer:
    """
    Makes archives of what travels packed, for as long as it is open.

    What two services ship alike is packed once.
    """

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._directory: Path | None = None
        self._made: dict[object, Path] = {}

    def __enter__(self) -> Packer:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def shipments(
        self,
        services: Mapping[str, Service],
        packing_progress: Callable[[PackingProgress], None] | None,
    ) -> list[Shipment]:
        """
        All that services need.

        Raises:
            SpecError: A directory or a file cannot be packed.
            PythonEnvironmentError: An environment cannot.
        """
        found: list[Shipment] = []
        for service_name, service in services.items():
            bundles, others = bundled(service.files)
            for bundle in bundles:
                path = self._archive(tuple(sorted(bundle.files.items())), bundle.write)
                found.append(
                    Shipment(
                        service=service_name,
                        name=bundle.name,
                        file=StagedFile(source=path, archive=True, shown=bundle.shown),
                        member_names=tuple(sorted(bundle.files)),
                    )
                )
            found += [
                Shipment(service=service_name, name=name, file=self._staged(file))
                for name, file in others.items()
            ]
            found += self._environment(service_name, service.python_environment, packing_progress)
        return found

    def driver_shipments(
        self, driver: Driver, packing_progress: Callable[[PackingProgress], None] | None
    ) -> list[Shipment]:
        """All that a driver needs, one by one: nothing links what an archive holds beside it."""
        found = [
            Shipment(service=None, name=name, file=self._staged(file))
            for name, file in driver.files.items()
        ]
        return found + self._environment(None, driver.python_environment, packing_progress)

    def _environment(
        self,
        service: str | None,
        source: str | None,
        packing_progress: Callable[[PackingProgress], None] | None,
    ) -> list[Shipment]:
        if source is None:
            return []
        from knit._environments import to_stage

        file = StagedFile(source=to_stage(source, packing_progress), archive=True)
        return [Shipment(service=service, name=ENVIRONMENT_NAME, file=file)]

    def _staged(self, file: File) -> StagedFile:
        path = file.local_path
        visibility = _visibility(file.visibility)
        if path is None or not file.is_directory:
            return StagedFile(
                source=path or file.source, archive=file.archive, visibility=visibility
            )
        directory = path
        return StagedFile(
            source=self._archive(path, lambda goal: write_directory(directory, goal)),
            archive=True,
            visibility=visibility,
            shown=f"{path}/",
        )

    def _archive(self, what: object, write: Callable[[Path], None]) -> Path:
        if what not in self._made:
            if self._directory is None:
                self._directory = self._temporary_directory()
            path = self._directory / f"{len(self._made)}{SUFFIX}"
            write(path)
            self._made[what] = path
        return self._made[what]

    def _temporary_directory(self) -> Path:
        try:
            made = tempfile.TemporaryDirectory(prefix="knit-")
        except OSError as error:
            raise SpecError(
                f"There is no place for temporary files ({reason(error)}). Set TMPDIR to a "
                "directory that can be written to."
            ) from None
        return Path(self._stack.enter_context(made))


def _visibility(value: Visibility) -> LocalResourceVisibility:
    names: dict[Visibility, LocalResourceVisibility] = {
        Visibility.APPLICATION: "APPLICATION",
        Visibility.PUBLIC: "PUBLIC",
    }
    return names.get(value, "PRIVATE")
