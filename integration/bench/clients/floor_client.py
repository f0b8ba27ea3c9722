"""The floor: submits floor/FloorMaster.java over the ResourceManager's REST API, no more."""

from __future__ import annotations

import argparse
import http.client
import json
import socket
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from integration.bench.clients.protocol import Marks, now, tell, wait_for_go

STARTED = now()
POLL_SECONDS = 0.02


class ResourceManager:
    """One connection to it, kept open."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)

    def call(self, method: str, path: str, body: object = None) -> Any:
        self._connection.request(
            method,
            f"/ws/v1/cluster/{path}",
            None if body is None else json.dumps(body),
            {"Content-Type": "application/json", "Accept": "application/json"},
        )
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {text[:500]!r}")
        return json.loads(text) if text else {}

    def submit(self, submission: dict[str, Any], user: str) -> str:
        query = f"user.name={user}"
        created = self.call("POST", f"apps/new-application?{query}")
        application_id: str = created["application-id"]
        self.call("POST", f"apps?{query}", {**submission, "application-id": application_id})
        return application_id

    def address(self, application_id: str) -> tuple[str, int]:
        """Where the Application Master listens, once it has registered."""
        while True:
            report = self.call("GET", f"apps/{application_id}")["app"]
            if report["state"] == "RUNNING" and "amRPCAddress" in report:
                host, _, port = report["amRPCAddress"].rpartition(":")
                return host, int(port)
            if report["state"] in ("FINISHED", "FAILED", "KILLED"):
                raise RuntimeError(
                    f"{application_id} is {report['state']}: {report['diagnostics']}"
                )
            time.sleep(POLL_SECONDS)


def add(address: tuple[str, int], count: int, arguments: argparse.Namespace) -> None:
    """Ask for containers; returns when their nodes have accepted them all."""
    with socket.create_connection(address, timeout=60) as connection:
        connection.sendall(f"ADD {count} {arguments.memory} {arguments.nodes}\n".encode())
        said = connection.makefile().readline().strip()
    if not said.startswith("LAUNCHED"):
        raise RuntimeError(f"the floor's Application Master said: {said}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("step", choices=["cold", "submit", "scale"])
    parser.add_argument("--resource-manager", required=True)
    parser.add_argument("--user", required=True)
    parser.add_argument("--submission", type=Path, required=True)
    parser.add_argument("--memory", required=True)
    parser.add_argument("--nodes", required=True)
    parser.add_argument("--add", type=int, action="append", default=[])
    arguments = parser.parse_args()
    marks: Marks = {"python_started": STARTED, "imported": now()}
    submission = json.loads(arguments.submission.read_text())
    resource_manager = ResourceManager(arguments.resource_manager)
    marks["client_ready"] = now()
    if arguments.step == "submit":
        for _ in range(2):
            began = now()
            application_id = resource_manager.submit(submission, arguments.user)
            tell(application_id=application_id, nanos=now() - began)
            wait_for_go()
        return
    application_id = resource_manager.submit(submission, arguments.user)
    marks["submitted"] = now()
    address = resource_manager.address(application_id)
    marks["connected"] = now()
    if arguments.step == "cold":
        tell(application_id=application_id, marks=marks)
        return
    add(address, 1, arguments)
    tell(application_id=application_id)
    for more in arguments.add:
        wait_for_go()
        began = now()
        add(address, more, arguments)
        tell(began=began, running_nanos=now() - began)
    wait_for_go()


if __name__ == "__main__":
    main()
