"""Looks for secrets as somebody else: on a machine, in what YARN shows, and in HDFS."""

from __future__ import annotations

import base64
import inspect
import json
import logging
import os
import shutil
import struct
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import knit
from knit._cluster.security.token_file import Credentials

from integration import bystander
from integration.clusters import Cluster, rest
from integration.hdfs import Hdfs

NOBODY = 65534
LARGEST_ANSWER_BYTES = 4 << 20
LOG_FILES = ("stdout", "stderr", "launch_container.sh", "directory.info", "prelaunch.out")
"""What nodes keep for each container by default, the last three of their own making."""

OWN_KEYS = ("knit.tls.key", "knit.container.key", "knit.token.key")
"""Knit's own secrets of a submission."""

Needles = Mapping[str, bytes]
"""Secrets by their names."""

ANY_KEY = "a private key"
KEY_MARK = b"-----BEGIN PRIVATE KEY-----"


class Watch:
    """
    Another user who looks at processes and files, for as long as the `with` block takes.

    Args:
        needles: what to look for.
        places: directories to look into.
        own: of those places the one where private keys are the cluster's own.
        of_own: the names of further needles that others may have in the other places.
    """

    def __init__(
        self,
        needles: Needles,
        places: Sequence[str],
        *,
        own: str,
        of_own: Sequence[str] = (),
    ) -> None:
        self._given = {"needles": _encoded({**needles, ANY_KEY: KEY_MARK}), "places": places}
        self._own = own
        self._of_own = {ANY_KEY, *of_own}
        self.finds: list[dict[str, str]] = []
        self.processes = 0
        self.files: list[str] = []

    def __enter__(self) -> Watch:
        python = shutil.which("python3", path="/usr/bin:/bin:/usr/local/bin")
        assert python is not None, "no Python that every user may run"
        command = [python, "-c", inspect.getsource(bystander)]
        if os.getuid() == 0:
            who = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
            command = [*who, *command]
        else:
            # Of one's own files everything can be read, so only arguments say anything.
            self._given["places"] = []
        self._process = subprocess.Popen(
            command, cwd="/", text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._tell(self._given)
        assert self._process.stdout is not None
        assert json.loads(self._process.stdout.readline())["user"] == (
            NOBODY if os.getuid() == 0 else os.getuid()
        )
        return self

    def look_for(self, needles: Needles) -> None:
        """Look for these from now on, in what has been looked at, too."""
        self._tell(_encoded(needles))

    def _tell(self, what: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()

    def __exit__(self, *exc_info: object) -> None:
        said, _ = self._process.communicate()
        *finds, seen = map(json.loads, said.splitlines())
        self.finds = [
            each
            for each in finds
            if each["what"] not in self._of_own or each["where"].startswith(self._own)
        ]
        self.processes, self.files = seen["processes"], seen["files"]


def _encoded(needles: Needles) -> dict[str, str]:
    return {name: base64.b64encode(secret).decode() for name, secret in needles.items()}


def seen_in(data: bytes, needles: Needles) -> list[str]:
    """The names of those secrets that are in there, be it within base64."""
    return [
        name
        for name, secret in needles.items()
        if any(disguise in data for disguise in bystander.disguises(secret))
    ]


def keys_in(keytab: bytes) -> dict[str, bytes]:
    """The keys of a keytab, in MIT's format."""
    found, at = {}, 2
    while at < len(keytab):
        (size,) = struct.unpack_from(">i", keytab, at)
        entry, at = keytab[at + 4 : at + 4 + size], at + 4 + size
        (count,) = struct.unpack_from(">H", entry)
        inner = 2
        for _ in range(count + 1):  # the realm, too
            inner += 2 + struct.unpack_from(">H", entry, inner)[0]
        inner += 4 + 4 + 1  # what kind of name, when, and which version
        kind, length = struct.unpack_from(">HH", entry, inner)
        found[f"the keytab's key of type {kind}"] = entry[inner + 4 : inner + 4 + length]
    return found


def passwords_of(held: Credentials) -> dict[str, bytes]:
    """What makes those tokens worth something, and knit's own keys."""
    found = {f"the password of {each.kind}": each.password for each in held.tokens.values()}
    for name in OWN_KEYS:
        secret = held.secrets[name]
        lines = secret.splitlines() if secret.startswith(b"-----") else [secret]
        found[name] = next(line for line in lines if not line.startswith(b"-----"))
    return found


@contextmanager
def heard() -> Iterator[list[str]]:
    """What any part of this process logs, down to urllib3's URLs."""
    records: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record.getMessage())

    root, handler = logging.getLogger(), Handler(logging.DEBUG)
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield records
    finally:
        root.setLevel(level)
        root.removeHandler(handler)


def walk(hdfs: Hdfs, directory: str) -> Iterator[str]:
    """All files that can be listed."""
    try:
        entries = hdfs.list(directory)
    except urllib.error.HTTPError:
        return
    for name, status in entries.items():
        path = f"{directory.rstrip('/')}/{name}"
        if status["type"] == "DIRECTORY":
            yield from walk(hdfs, path)
        else:
            yield path


def read_all(hdfs: Hdfs) -> Iterator[tuple[str, bytes]]:
    """All files that can be read, and what is in them."""
    for path in walk(hdfs, "/"):
        try:
            yield path, hdfs.read(path)
        except urllib.error.HTTPError:
            continue


def collected(hdfs: Hdfs, application_id: str) -> list[str]:
    """The files with the collected logs, all nodes' included; none before they are whole."""
    files = [path for path in walk(hdfs, "/tmp/logs") if f"/{application_id}/" in path]
    return [] if any(path.endswith(".tmp") for path in files) else files


def shown_by_yarn(
    session: rest.Session,
    cluster: Cluster,
    app: knit.Application,
    containers: Sequence[knit.Container],
    *,
    scheme: str = "http",
) -> dict[str, bytes]:
    """
    What somebody is answered by YARN's web servers, for programs and for people, by URL.

    Args:
        session: as whom; refusals are left out.
        cluster: whose servers.
        app: what is looked at.
        containers: those of it whose nodes are asked for their logs.
        scheme: by which nodes are asked.
    """
    manager, application_id = cluster.resource_manager_url, app.application_id
    apps = f"{manager}/ws/v1/cluster/apps"
    urls = [apps, f"{apps}/{application_id}", f"{apps}/{application_id}/appattempts"]
    urls += [f"{manager}/cluster/app/{application_id}", f"{manager}/conf", f"{manager}/jmx"]
    for node in cluster.nodes():
        base = f"{scheme}://{node.http_address}"
        urls += [f"{base}/ws/v1/node/apps", f"{base}/ws/v1/node/containers"]
        urls += [f"{base}/node/application/{application_id}", f"{base}/conf"]
    for container in containers:
        base = f"{scheme}://{container.node_http_address}/ws/v1/node/containers"
        logs = f"{base}/{container.container_id}/logs"
        # Which of its files a node lists is gone once they are collected.
        urls += [logs, *(f"{logs}/{name}" for name in LOG_FILES)]
    answers = {url: _answer(session, url) for url in urls}
    return {url: data for url, data in answers.items() if data is not None}


def _answer(session: rest.Session, url: str) -> bytes | None:
    headers = {"Accept": "application/json, */*;q=0.1"}
    request = urllib.request.Request(session.claimed(url), headers=headers)
    try:
        with session.open(request, timeout_seconds=10) as response:
            return bytes(response.read(LARGEST_ANSWER_BYTES))
    except urllib.error.HTTPError:
        return None
