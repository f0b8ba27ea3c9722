"""Amounts of resources as YARN tells them, nothing included."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from knit._values.resources import format_memory


@attrs.frozen
class ResourceAmount:
    """
    How much of what nodes offer something has, uses or may use.

    Unlike `Resources`, which is what one container asks for, any of it may be nothing.
    """

    memory_mib: int = 0
    """Memory in MiB."""
    vcores: int = 0
    """Virtual cores."""
    named: Mapping[str, int] = attrs.field(factory=dict, hash=False)
    """Every other kind that the cluster knows, such as `yarn.io/gpu`, in YARN's own unit of it."""

    def __str__(self) -> str:
        cores = "1 vcore" if self.vcores == 1 else f"{self.vcores} vcores"
        named = (f"{amount} {name}" for name, amount in sorted(self.named.items()))
        return ", ".join([format_memory(self.memory_mib), cores, *named])

    def __add__(self, other: ResourceAmount) -> ResourceAmount:
        return self._each(other, 1)

    def __sub__(self, other: ResourceAmount) -> ResourceAmount:
        """What is left; below nothing where more is taken than is there."""
        return self._each(other, -1)

    def _each(self, other: ResourceAmount, sign: int) -> ResourceAmount:
        names = [*self.named, *(name for name in other.named if name not in self.named)]
        return ResourceAmount(
            self.memory_mib + sign * other.memory_mib,
            self.vcores + sign * other.vcores,
            {name: self.named.get(name, 0) + sign * other.named.get(name, 0) for name in names},
        )
