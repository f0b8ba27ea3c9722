"""When a container is ready for work, and when it is alive and no use."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import attrs

from knit._values.checking import (
    duration,
    instance_of,
    matching,
    optional,
    text,
    true_or_false,
    whole_number,
)
from knit._values.durations import duration_of, duration_to_proto
from knit._values.in_documents import OMIT_DEFAULT
from knit._values.reading import as_said
from knit.exceptions import SpecError

if TYPE_CHECKING:
    from knit.v1 import service_pb2


@attrs.frozen
class HttpCheck:
    """A page that is asked for; an answer with 200 to 399 is a success."""

    port: int = attrs.field(validator=whole_number(1, 65535))
    """The port on the container's host."""
    path: str = attrs.field(
        default="/",
        validator=matching(r"/[!-~]{0,2047}", "a path that begins with /, in ASCII without spaces"),
        metadata=OMIT_DEFAULT,
    )
    """The path, with `/` at its beginning."""


@attrs.frozen(kw_only=True)
class Probe:
    """
    A question that is asked of a container again and again: one of `tcp_port`, `http`, `command`.

    It needs an agent beside the program, which there is not yet: such a specification can be
    written and read, and is refused at submission with the reason NEEDS_AGENT.
    """

    tcp_port: int | None = attrs.field(
        default=None, validator=optional(whole_number(1, 65535)), metadata=OMIT_DEFAULT
    )
    """A connection to this port of the container's host."""
    http: HttpCheck | None = attrs.field(
        default=None, validator=optional(instance_of(HttpCheck)), metadata=OMIT_DEFAULT
    )
    """A page."""
    command: str | None = attrs.field(default=None, validator=optional(text), metadata=OMIT_DEFAULT)
    """A command, for `bash -c` beside the program, that ends with 0."""
    delay: timedelta = attrs.field(default=timedelta(), validator=duration(), metadata=OMIT_DEFAULT)
    """Time before the first one."""
    period: timedelta = attrs.field(
        default=timedelta(seconds=10),
        validator=duration(timedelta(milliseconds=100)),
        metadata=OMIT_DEFAULT,
    )
    """Time between two, 0.1 s at least."""
    timeout: timedelta = attrs.field(
        default=timedelta(seconds=1),
        validator=duration(timedelta(milliseconds=1)),
        metadata=OMIT_DEFAULT,
    )
    """Time for an answer."""
    failures: int = attrs.field(default=3, validator=whole_number(1), metadata=OMIT_DEFAULT)
    """How many failures in a row change the verdict."""
    successes: int = attrs.field(default=1, validator=whole_number(1), metadata=OMIT_DEFAULT)
    """How many successes in a row do."""

    def __attrs_post_init__(self) -> None:
        asked = [c for c in (self.tcp_port, self.http, self.command) if c is not None]
        if len(asked) != 1:
            raise SpecError(
                f"{len(asked)} of tcp_port, http and command are given: give exactly one."
            )

    @classmethod
    def _from_proto(cls, message: service_pb2.Probe) -> Probe:
        which = message.WhichOneof("check")
        return as_said(
            cls,
            tcp_port=message.tcp_port if which == "tcp_port" else None,
            http=(
                as_said(HttpCheck, port=message.http.port, path=message.http.path)
                if which == "http"
                else None
            ),
            command=message.command if which == "command" else None,
            delay=duration_of(message, "delay") or timedelta(),
            period=duration_of(message, "period") or timedelta(seconds=10),
            timeout=duration_of(message, "timeout") or timedelta(seconds=1),
            failures=message.failures or 3,
            successes=message.successes or 1,
        )

    def _to_proto(self) -> service_pb2.Probe:
        from knit.v1 import service_pb2

        message = service_pb2.Probe(
            delay=duration_to_proto(self.delay),
            period=duration_to_proto(self.period),
            timeout=duration_to_proto(self.timeout),
            failures=self.failures,
            successes=self.successes,
        )
        if self.tcp_port is not None:
            message.tcp_port = self.tcp_port
        elif self.http is not None:
            message.http.port, message.http.path = self.http.port, self.http.path
        elif self.command is not None:
            message.command = self.command
        return message


@attrs.frozen(kw_only=True)
class Readiness:
    """
    When a container counts as ready.

    With neither `reported` nor `probe` it is ready after it has been RUNNING for `min_ready`.
    """

    reported: bool = attrs.field(default=False, validator=true_or_false, metadata=OMIT_DEFAULT)
    """Whether the program says so itself: `knit.current().ready()`, or ReportReady."""
    probe: Probe | None = attrs.field(
        default=None, validator=optional(instance_of(Probe)), metadata=OMIT_DEFAULT
    )
    """What is asked of it. Needs an agent: refused at submission with the reason NEEDS_AGENT."""
    min_ready: timedelta | None = attrs.field(
        default=None, validator=optional(duration()), metadata=OMIT_DEFAULT
    )
    """How long it has to be so. Default: 1 s; 10 s while the service is updated."""
    limit: timedelta | None = attrs.field(
        default=None, validator=optional(duration(timedelta(seconds=1))), metadata=OMIT_DEFAULT
    )
    """A container that is not ready after so long counts as failed. Default: it takes its time."""

    def __attrs_post_init__(self) -> None:
        if self.reported and self.probe is not None:
            raise SpecError("reported and probe are both given: give one of them.")

    @classmethod
    def _from_proto(cls, message: service_pb2.Readiness) -> Readiness:
        which = message.WhichOneof("source")
        return as_said(
            cls,
            reported=which == "is_reported" and message.is_reported,
            probe=Probe._from_proto(message.probe) if which == "probe" else None,
            min_ready=duration_of(message, "min_ready"),
            limit=duration_of(message, "limit"),
        )

    def _to_proto(self) -> service_pb2.Readiness:
        from knit.v1 import service_pb2

        message = service_pb2.Readiness(
            min_ready=duration_to_proto(self.min_ready), limit=duration_to_proto(self.limit)
        )
        if self.reported:
            message.is_reported = True
        elif self.probe is not None:
            message.probe.CopyFrom(self.probe._to_proto())
        return message
