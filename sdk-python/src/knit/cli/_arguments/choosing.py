"""Which containers are meant, by ID or by place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from knit.cli._arguments import values

if TYPE_CHECKING:
    import knit


def find_containers(app: knit.Application, names: Sequence[str]) -> list[str | knit.Container]:
    """
    Returns IDs as they are, and for each place, `worker/3`, the container that fills it now.

    Raises:
        ContainerNotFoundError: Nothing fills one of the places, nor ever did.
    """
    from knit.exceptions import ContainerNotFoundError

    if not any(map(values.is_place, names)):
        return list(names)
    latest = {f"{c.service}/{c.rank}": c for c in app.containers()}  # in the order of attempts
    missing = [name for name in names if values.is_place(name) and name not in latest]
    if missing:
        raise ContainerNotFoundError(
            f"{app.application_id} has no container {', '.join(missing)}: "
            f"`knit containers {app.application_id}` lists those it has."
        )
    return [latest[name] if values.is_place(name) else name for name in names]
