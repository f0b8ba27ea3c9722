"""
What transactions of an application's key-value store are made of.

    from knit import kv

    app.kv.transaction(
        [kv.missing("leader")],
        on_success=[kv.put("leader", b"worker-0", owner=container)],
        on_failure=[kv.get("leader")],
    )

`Application.kv` is the store itself.
"""

from knit._values.transactions import (
    UNCHANGED,
    created,
    delete,
    delete_range,
    exists,
    get,
    get_range,
    lease,
    missing,
    modified,
    owner,
    put,
    value,
    version,
)

__all__ = [
    "UNCHANGED",
    "created",
    "delete",
    "delete_range",
    "exists",
    "get",
    "get_range",
    "lease",
    "missing",
    "modified",
    "owner",
    "put",
    "value",
    "version",
]
