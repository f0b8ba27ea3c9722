"""What is written down of an application, for its user's eyes only."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any

import attrs

from knit._cluster.patience import SAFE_MODE
from knit._staging.directory import DIRECTORY_PERMISSION, FILE_PERMISSION, StagingDirectory
from knit._staging.values import ConnectionKeys, KeyPair, LocalResource, StoredApplication
from knit._values.deadlines import Deadline
from knit.exceptions import ApplicationNotFoundError, ClusterFileNotFoundError, ClusterResponseError

_ADDING_TRIES = 5


class Records:
    """
    What applications of a user leave written down in a directory `.knit`.

    Args:
        directory: Where.
        resource_manager: Which one applications are submitted to; see
            `ClusterConfig.resource_manager_name`.
    """

    def __init__(self, directory: StagingDirectory, resource_manager: str | None) -> None:
        self._directory = directory
        self.resource_manager = resource_manager

    def register(
        self, application_id: str, resources: Iterable[LocalResource], keys: ConnectionKeys | None
    ) -> None:
        """Writes down what an application uses and how to talk to it, for its user's eyes only."""
        self._directory.prepare()
        content: dict[str, object] = {
            "version": 1,
            "cache": sorted(set(self._in_cache(resources))),
            "tls": None if keys is None else attrs.asdict(keys),
        }
        if self.resource_manager is not None:
            content["resource_manager"] = self.resource_manager
        directory = self._directory.of_application(application_id)
        self._write(f"{directory}/application.json", content)

    def add_files(self, application_id: str, resources: Iterable[LocalResource]) -> None:
        """
        Writes down what a running application uses, too.

        Raises:
            ApplicationNotFoundError: Nothing is written down of it: it has ended.
        """
        added = set(self._in_cache(resources))
        # Another client may write at the same time, and HDFS compares nothing: look afterwards.
        for _ in range(_ADDING_TRIES):
            content, path = self._content(application_id, Deadline.of(None, default=self._wait))
            known = set(_stored(content, path).cache)
            if added <= known:
                return
            content["cache"] = sorted(known | added)
            self._write(path, content)
        raise ClusterResponseError(
            f"{path} on the cluster is written by others again and again, so what "
            f"{application_id} is to use cannot be noted. Try again."
        )

    def read(self, application_id: str, *, timeout: timedelta | None = None) -> StoredApplication:
        """
        What was written down for an application of this user.

        Raises:
            ApplicationNotFoundError: Nothing: it has ended, or is somebody else's.
        """
        deadline = Deadline.of(timeout, default=self._wait)
        return _stored(*self._content(application_id, deadline))

    @property
    def _wait(self) -> timedelta:
        return self._directory.files.timeout

    def _in_cache(self, resources: Iterable[LocalResource]) -> Iterator[str]:
        cache = self._directory.url(f"{self._directory.root}/cache/")
        return (resource.name for resource in resources if resource.url.startswith(cache))

    def _write(self, path: str, content: Mapping[str, object]) -> None:
        self._directory.files.create(
            path,
            json.dumps(content).encode(),
            permission=FILE_PERMISSION,
            overwrite=True,
            patience=SAFE_MODE,
        )

    def _content(self, application_id: str, deadline: Deadline) -> tuple[dict[str, Any], str]:
        """What was written down, and where."""
        directory = self._directory.of_application(application_id, deadline.remaining)
        path = f"{directory}/application.json"
        try:
            data = json.loads(self._directory.files.read(path, timeout=deadline.remaining))
        except ClusterFileNotFoundError as error:
            raise ApplicationNotFoundError(
                f"There is nothing at {path} to talk to {application_id} with. It has ended and "
                "cleaned up, or another user submitted it, or it is not an application of knit."
            ) from error
        except ValueError as error:
            raise ClusterResponseError(f"{path} on the cluster is not JSON: {error}.") from error
        return data, path

    def read_address(self, application_id: str, *, timeout: timedelta | None = None) -> str | None:
        """`host:port` as the Application Master left it where YARN cannot say; None if not."""
        deadline = Deadline.of(timeout, default=self._directory.files.timeout)
        try:
            directory = self._directory.of_application(application_id, deadline.remaining)
            content = self._directory.files.read(f"{directory}/address", timeout=deadline.remaining)
        except ClusterFileNotFoundError:
            return None
        return content.decode("utf-8", "replace").strip() or None

    def remove(self, application_id: str, *, timeout: timedelta | None = None) -> None:
        """Removes an application's own directory. Calling it again is safe."""
        deadline = Deadline.of(timeout, default=self._directory.files.timeout)
        path = self._directory.of_application(application_id, deadline.remaining)
        self._directory.files.delete(path, recursive=True, timeout=deadline.remaining)

    def renew(self, application_id: str) -> None:
        """Gives an application's directory the time of now, by changing what is in it."""
        mark = f"{self._directory.of_application(application_id)}/.alive"
        if not self._directory.files.delete(mark):
            self._directory.files.make_directories(mark, permission=DIRECTORY_PERMISSION)


def _stored(data: Mapping[str, Any], path: str) -> StoredApplication:
    try:
        tls = data["tls"]
        return StoredApplication(
            cache=tuple(map(str, data["cache"])),
            keys=None
            if tls is None
            else ConnectionKeys(
                ca=str(tls["ca"]),
                client_cert=str(tls["client_cert"]),
                client_key=str(tls["client_key"]),
                others={
                    str(role): KeyPair(cert=str(pair["cert"]), key=str(pair["key"]))
                    for role, pair in tls.get("others", {}).items()
                },
            ),
            resource_manager=data.get("resource_manager"),
        )
    except (KeyError, TypeError) as error:
        raise ClusterResponseError(
            f"{path} on the cluster was written by another version of knit: it lacks {error}. "
            "Use that version for this application."
        ) from error
