"""How a service passes from one revision to the next."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import attrs

from knit._values.checking import duration, instance_of, whole_number
from knit._values.durations import duration_of, duration_to_proto
from knit._values.enums import OpenEnum
from knit._values.in_documents import OMIT_DEFAULT
from knit._values.reading import as_said
from knit.exceptions import SpecError

if TYPE_CHECKING:
    from knit.v1 import service_pb2


class UpdateFailurePolicy(OpenEnum):
    """What a failed update leads to."""

    UNKNOWN = 0
    """A value newer than this SDK."""
    ROLL_BACK = 1
    """The revision before is brought back."""
    PAUSE = 2
    """Both revisions stay as they are until somebody decides."""


@attrs.frozen(kw_only=True)
class UpdatePolicy:
    """How a service passes from one revision to the next."""

    max_surge: int = attrs.field(default=1, validator=whole_number(0), metadata=OMIT_DEFAULT)
    """How many containers there may be beyond the target meanwhile."""
    max_unavailable: int = attrs.field(default=0, validator=whole_number(0), metadata=OMIT_DEFAULT)
    """How many may be missing meanwhile. One of the two is 1 at least."""
    failures: int = attrs.field(default=1, validator=whole_number(1), metadata=OMIT_DEFAULT)
    """How many containers of the new revision fail, or are not ready in time, before it failed."""
    ready_limit: timedelta = attrs.field(
        default=timedelta(minutes=10),
        validator=duration(timedelta(seconds=1)),
        metadata=OMIT_DEFAULT,
    )
    """How long one may take to become ready."""
    failure_policy: UpdateFailurePolicy = attrs.field(
        default=UpdateFailurePolicy.ROLL_BACK,
        validator=instance_of(UpdateFailurePolicy),
        metadata=OMIT_DEFAULT,
    )
    """What happens when it fails."""

    def __attrs_post_init__(self) -> None:
        if self.max_surge == self.max_unavailable == 0:
            raise SpecError(
                "max_surge and max_unavailable are both 0, so that nothing could ever change: "
                "allow one container more, or one less."
            )

    @classmethod
    def _from_proto(cls, message: service_pb2.UpdatePolicy) -> UpdatePolicy:
        unavailable = message.max_unavailable if message.HasField("max_unavailable") else 0
        surge = message.max_surge if message.HasField("max_surge") else 0 if unavailable else 1
        return as_said(
            cls,
            max_surge=surge,
            max_unavailable=unavailable,
            failures=message.failures or 1,
            ready_limit=duration_of(message, "ready_limit") or timedelta(minutes=10),
            failure_policy=UpdateFailurePolicy(message.failure_policy or 1),
        )

    def _to_proto(self) -> service_pb2.UpdatePolicy:
        from knit.v1 import service_pb2

        return service_pb2.UpdatePolicy(
            max_surge=self.max_surge,
            max_unavailable=self.max_unavailable,
            failures=self.failures,
            ready_limit=duration_to_proto(self.ready_limit),
            failure_policy=service_pb2.UpdateFailurePolicy.ValueType(self.failure_policy),
        )
