"""Where the containers of a service may be."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import attrs

from knit._values.checking import instance_of, label_or_none, names, optional, true_or_false
from knit._values.enums import OpenEnum
from knit._values.in_documents import OMIT_DEFAULT, in_documents
from knit._values.reading import as_said
from knit.exceptions import SpecError

if TYPE_CHECKING:
    from knit.v1 import service_pb2

MOST_PLACES = 50
"""Nodes, and racks, that one service may name: YARN keeps a request for each."""

_NODES = names("node: give its host, without a port", MOST_PLACES, r"[^\s,*:/]{1,255}")
_RACKS = names("rack: one looks like /rack-1", MOST_PLACES, r"/[^\s,*]{1,254}")


def _to_nodes(value: Iterable[str]) -> tuple[str, ...]:
    return _NODES.of("nodes", value)


def _to_racks(value: Iterable[str]) -> tuple[str, ...]:
    return _RACKS.of("racks", value)


class Spread(OpenEnum):
    """How the containers of one service lie to one another."""

    UNKNOWN = 0
    """A value newer than this SDK."""
    EVENLY = 1
    """As few on each node as there is room for elsewhere."""
    ANTI_AFFINITY = 2
    """Never two on one node: those for whom there is none wait."""


@attrs.frozen(kw_only=True)
class Placement:
    """Where containers may be."""

    node_label: str | None = attrs.field(
        default=None,
        validator=label_or_none,
        metadata=OMIT_DEFAULT,
    )
    """
    The partition (node label) they have to be in; YARN takes one together with neither nodes nor
    racks. Default: the application's, else the queue's.
    """
    nodes: tuple[str, ...] = attrs.field(
        default=(),
        converter=_to_nodes,
        metadata=in_documents(write=list, omit_default=True, schema=_NODES.schema),
    )
    """Hosts they should be on, by name as YARN knows them, without ports. At most 50."""
    racks: tuple[str, ...] = attrs.field(
        default=(),
        converter=_to_racks,
        metadata=in_documents(write=list, omit_default=True, schema=_RACKS.schema),
    )
    """Racks they should be on, such as `/rack-1`. At most 50."""
    strict: bool = attrs.field(
        default=False,
        validator=true_or_false,
        metadata=OMIT_DEFAULT,
    )
    """Whether they may be nowhere else. Otherwise these nodes and racks come first."""
    spread: Spread | None = attrs.field(
        default=None,
        validator=optional(instance_of(Spread)),
        metadata=OMIT_DEFAULT,
    )
    """How they lie to one another. Default: as it comes."""

    def __attrs_post_init__(self) -> None:
        if self.node_label is not None and (self.nodes or self.racks):
            raise SpecError(
                "node_label is given beside nodes or racks, which YARN does not take together: "
                "leave out one of them."
            )
        if self.strict and not (self.nodes or self.racks):
            raise SpecError("strict is given without nodes or racks: name those that will do.")

    @classmethod
    def _from_proto(cls, message: service_pb2.Placement) -> Placement:
        return as_said(
            cls,
            node_label=message.node_label or None,
            nodes=tuple(message.node_names),
            racks=tuple(message.rack_names),
            strict=message.is_strict,
            spread=Spread(message.spread) if message.spread else None,
        )

    def _to_proto(self) -> service_pb2.Placement:
        from knit.v1 import service_pb2

        return service_pb2.Placement(
            node_label=self.node_label or "",
            node_names=self.nodes,
            rack_names=self.racks,
            is_strict=self.strict,
            spread=service_pb2.Spread.ValueType(self.spread or 0),
        )
