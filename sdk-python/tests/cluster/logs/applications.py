"""An application that has ended, and what YARN has collected of it."""

from __future__ import annotations

import json
import time

from knit._cluster.cluster import Cluster
from knit._cluster.logs import AggregatedLogs, LogArchive
from tests.cluster.logs.files import Record, tfile
from tests.fakes.cluster import FakeCluster

APPLICATION = "application_1700000000000_10007"
MASTER, ONE, TWO = (f"container_1700000000000_10007_01_{number:06}" for number in (1, 2, 3))
HERE = "/tmp/logs/alice/bucket-logs-tfile/0007"


def record(*places: tuple[str, str, int, str]) -> tuple[str, bytes]:
    """The file in which an Application Master notes which container is which."""
    lines = [
        {"container_id": key, "service": service, "rank": rank, "attempt_number": 1, "node_id": n}
        for key, service, rank, n in places
    ]
    return "containers.jsonl", b"".join(json.dumps(line).encode() + b"\n" for line in lines)


NODE_1: list[Record] = [
    (MASTER, [record((ONE, "web", 0, "node-1:8041"), (TWO, "web", 1, "node-2:8041"))]),
    (ONE, [("stdout", b"one\n"), ("stderr", b"")]),
]
NODE_2: list[Record] = [(TWO, [("stdout", b"two\n")])]


class Application:
    """An application of the fake cluster that has ended."""

    def __init__(self, fake: FakeCluster, application_id: str = APPLICATION) -> None:
        self.fake = fake
        self.application_id = application_id
        self.change(
            id=application_id,
            user="alice",
            state="FINISHED",
            finalStatus="SUCCEEDED",
            finishedTime=int(time.time() * 1000),
            logAggregationStatus="SUCCEEDED",
        )
        self.attempts({"id": 1, "containerId": MASTER, "nodeId": "node-1:8041"})

    def change(self, **fields: object) -> None:
        manager = self.fake.resource_manager
        manager.applications.setdefault(self.application_id, {}).update(fields)

    def attempts(self, *attempts: dict[str, object]) -> None:
        self.fake.resource_manager.attempts[self.application_id] = list(attempts)

    def write(self, name: str, data: bytes, directory: str = HERE) -> str:
        path = f"{directory}/{self.application_id}/{name}"
        self.fake.file_system.write(path, "alice", data)
        return path

    def write_all(self, directory: str = HERE) -> None:
        self.write("node-1_8041", tfile(NODE_1), directory)
        self.write("node-2_8041", tfile(NODE_2), directory)


def look(cluster: Cluster, application_id: str = APPLICATION) -> AggregatedLogs:
    return LogArchive(cluster, application_id).look()


def names(logs: AggregatedLogs) -> list[str]:
    return list(logs.containers)
