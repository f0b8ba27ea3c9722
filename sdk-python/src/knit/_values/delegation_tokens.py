"""What is known of the delegation tokens that an application holds, and never what proves them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import attrs

from knit._values.containers import to_datetime

if TYPE_CHECKING:
    from knit.v1 import application_pb2


@attrs.frozen(kw_only=True)
class DelegationTokenInfo:
    """A delegation token that an application holds: what is known of it."""

    kind: str
    """Hadoop's word: `HDFS_DELEGATION_TOKEN`, `RM_DELEGATION_TOKEN`, `kms-dt`, or another."""
    service: str
    """For whom it is good: `host:port`, several with commas, or `ha-hdfs:nameservice`."""
    issue_time: datetime | None = None
    """When it was issued. None: its form is not known."""
    max_time: datetime | None = None
    """When it ends, however often it is renewed. None likewise."""
    renewer: str = ""
    """Who may renew it, by their short name. Empty: nobody; it ends after its first interval."""
    is_replaced: bool = False
    """Whether the Application Master replaces it before it ends, which takes a keytab."""
    expire_time: datetime | None = None
    """
    When it ends unless it is renewed before. It stands with those that are given, beside the
    others, to containers and drivers with the ResourceManager's token, to submit applications with
    where a keytab replaces tokens: YARN renews them from the first such application on. None: it
    is not known.
    """

    @classmethod
    def _from_proto(cls, message: application_pb2.DelegationToken) -> DelegationTokenInfo:
        return cls(
            kind=message.kind,
            service=message.service,
            issue_time=to_datetime(message, "issue_time"),
            max_time=to_datetime(message, "max_time"),
            renewer=message.renewer,
            is_replaced=message.is_replaced,
            expire_time=to_datetime(message, "expire_time"),
        )

    def _to_proto(self) -> application_pb2.DelegationToken:
        from knit.v1 import application_pb2

        message = application_pb2.DelegationToken(
            kind=self.kind,
            service=self.service,
            renewer=self.renewer,
            is_replaced=self.is_replaced,
        )
        if self.issue_time is not None:
            message.issue_time.FromDatetime(self.issue_time)
        if self.max_time is not None:
            message.max_time.FromDatetime(self.max_time)
        return message
