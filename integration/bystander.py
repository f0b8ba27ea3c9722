"""
Another user of a machine, who looks for secrets wherever one may look.

Run as that user, with needles, in base64, and places as a line of JSON on stdin. It looks again and
again until stdin ends, for further needles too where another line brings some, and prints each
find, and at the end how much it has seen. Standard library only: its source is handed to a Python
that the other user may run.
"""

from __future__ import annotations

import base64
import json
import os
import select
import stat
import sys
import time

_LARGEST_FILE_BYTES = 4 << 20
_SECONDS_BETWEEN_WALKS = 0.5


def disguises(secret: bytes) -> list[bytes]:
    """The secret as it is, and what it looks like within base64, wherever in it it begins."""
    found = [secret]
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + secret)
        # The first and the last characters depend on the neighbours too.
        found.append(encoded[4 if offset else 0 : len(encoded) // 4 * 4 - 4])
    return found


class Bystander:
    def __init__(self, needles: dict[str, bytes], places: list[str]) -> None:
        self._needles: list[tuple[str, bytes]] = []
        self._places = places
        self._known: dict[str, tuple[float, int]] = {}
        self.processes: set[str] = set()
        self.files: set[str] = set()
        self.told: set[tuple[str, str]] = set()
        self.look_for(needles)

    def look_for(self, needles: dict[str, bytes]) -> None:
        """Look for these from now on, in what has been looked at, too."""
        self._needles += [
            (name, text) for name, secret in needles.items() for text in disguises(secret)
        ]
        self._known.clear()

    def look_at(self, where: str, data: bytes) -> None:
        for name, text in self._needles:
            if text in data and (where, name) not in self.told:
                self.told.add((where, name))
                print(json.dumps({"where": where, "what": name}), flush=True)

    def look_at_processes(self) -> None:
        for number in filter(str.isdigit, os.listdir("/proc")):
            if int(number) == os.getpid():
                continue
            for kind in ("cmdline", "environ"):
                try:
                    with open(f"/proc/{number}/{kind}", "rb") as file:
                        data = file.read()
                except OSError:
                    continue
                self.processes.add(number)
                self.look_at(f"{kind}: {data[:200].decode(errors='replace')}", data)

    def look_at_files(self) -> None:
        for place in self._places:
            for directory, _, names in os.walk(place):
                for name in names:
                    self._look_at_file(os.path.join(directory, name))

    def _look_at_file(self, path: str) -> None:
        try:
            status = os.stat(path)
            seen = (status.st_mtime, status.st_size)
            if not stat.S_ISREG(status.st_mode) or self._known.get(path) == seen:
                return
            with open(path, "rb") as file:
                data = file.read(_LARGEST_FILE_BYTES)
        except OSError:
            return
        self._known[path] = seen
        self.files.add(path)
        self.look_at(path, data)


def main() -> None:
    given = json.loads(sys.stdin.readline())
    bystander = Bystander(decoded(given["needles"]), given["places"])
    print(json.dumps({"user": os.getuid()}), flush=True)
    walked = 0.0
    while True:
        # Command lines are there for milliseconds, so they are looked at without a rest.
        if select.select([sys.stdin], [], [], 0)[0]:
            more = sys.stdin.readline()
            if not more:
                break
            bystander.look_for(decoded(json.loads(more)))
        bystander.look_at_processes()
        if time.monotonic() - walked > _SECONDS_BETWEEN_WALKS:
            bystander.look_at_files()
            walked = time.monotonic()
    bystander.look_at_files()
    seen = {"processes": len(bystander.processes), "files": sorted(bystander.files)}
    print(json.dumps(seen), flush=True)


def decoded(needles: dict[str, str]) -> dict[str, bytes]:
    return {name: base64.b64decode(text) for name, text in needles.items()}


if __name__ == "__main__":
    main()
