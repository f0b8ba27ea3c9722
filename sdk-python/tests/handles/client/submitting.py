"""What the tests of this folder submit, and where it comes to lie."""

from __future__ import annotations

import base64

from knit import (
    ApplicationSpec,
    Service,
)
from tests.fakes.cluster import FakeCluster

HOME = "/user/alice"
SPEC = ApplicationSpec("demo", {"worker": Service("work", environment={"TOKEN": "hunter2"})})


def staged(cluster: FakeCluster, directory: str) -> list[str]:
    with cluster.file_system.lock:
        return [
            name
            for name, entry in cluster.file_system.entries.items()
            if name.startswith(f"{HOME}/.knit/{directory}/") and not entry.is_directory
        ]


def secrets_of(cluster: FakeCluster, application_id: str) -> dict[str, bytes]:
    submission = cluster.resource_manager.submissions[application_id]
    entries = submission["am-container-spec"]["credentials"]["secrets"]["entry"]
    return {entry["key"]: base64.urlsafe_b64decode(entry["value"]) for entry in entries}
