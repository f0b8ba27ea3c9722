"""The configuration of a process that knows an application, and no cluster."""

from __future__ import annotations

import attrs

from knit._cluster.configuration.config import ClusterConfig
from knit.exceptions import ConfigurationNotFoundError


@attrs.frozen
class Nowhere(ClusterConfig):
    """Stands where no configuration was found: whoever asks for an address is told which."""

    missing: str = ""
    """Where it was looked for, and what to do."""

    def __reduce__(self) -> tuple[object, ...]:
        return Nowhere, ({}, (), self.missing)

    @property
    def default_fs(self) -> str:
        raise self._error()

    @property
    def resource_managers(self) -> tuple[str, ...]:
        raise self._error()

    @property
    def resource_manager_name(self) -> str:
        raise self._error()

    def _error(self) -> ConfigurationNotFoundError:
        return ConfigurationNotFoundError(
            "Only the application's Application Master can be asked here, and not the cluster. "
            f"{self.missing}"
        )


def config_or_nowhere() -> ClusterConfig:
    """The cluster that the environment points at; where there is none, one that says so."""
    try:
        return ClusterConfig.from_environment()
    except ConfigurationNotFoundError as error:
        return Nowhere({}, (), error.message)
