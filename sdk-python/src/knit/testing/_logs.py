"""The log files of a fake's containers."""

from __future__ import annotations


class FakeLogs:
    """What containers have written. Not for several threads at once: its state guards it."""

    def __init__(self) -> None:
        self.lost: dict[str, str] = {}
        """Why the files of a container end as incomplete, by its ID."""
        self.collected: set[str] = set()
        """The containers whose files YARN has collected and removed from their nodes."""
        self.rolled: dict[str, list[tuple[str, bytes]]] = {}
        """Files that nodes have collected, and removed, of containers that run: in that order."""
        self._files: dict[str, dict[str, bytearray]] = {}
        self._cuts: dict[tuple[str, str], int] = {}

    def open(self, container_id: str) -> None:
        """A container begins to write."""
        self._files[container_id] = {"stdout": bytearray(), "stderr": bytearray()}

    def write(self, container_id: str, file: str, data: bytes) -> None:
        """Appends to a file; where a node has removed one of that name, it is another one."""
        was_removed = any(name == file for name, _ in self.rolled.get(container_id, ()))
        if was_removed and file not in self._files[container_id]:
            self._cuts[container_id, file] = self.cuts(container_id, file) + 1
        self._files[container_id].setdefault(file, bytearray()).extend(data)

    def cut(self, container_id: str, file: str) -> None:
        """Empties a file."""
        self._files[container_id].setdefault(file, bytearray()).clear()
        self._cuts[container_id, file] = self.cuts(container_id, file) + 1

    def cuts(self, container_id: str, file: str) -> int:
        """How many times a file was emptied."""
        return self._cuts.get((container_id, file), 0)

    def roll(self, container_id: str, file: str) -> None:
        """A node collects a file of a container that runs, and removes it."""
        data = bytes(self._files[container_id].pop(file))
        self.rolled.setdefault(container_id, []).append((file, data))

    def is_collected(self, container_id: str) -> bool:
        """Whether there is anything of it among what is collected, before the end."""
        return container_id in self.collected or container_id in self.rolled

    def is_removed(self, container_id: str, file: str) -> bool:
        """Whether the node has removed it, and has no other one of that name."""
        return file not in self._files.get(container_id, {}) and any(
            name == file for name, _ in self.rolled.get(container_id, ())
        )

    def whole(self, container_id: str, file: str) -> bytes:
        """What a file holds; nothing if there is none."""
        return bytes(self._files.get(container_id, {}).get(file, b""))

    def part(self, container_id: str, file: str, offset: int, length: int) -> tuple[bytes, int]:
        """Some bytes of a file, and its length."""
        log = self._files.get(container_id, {}).get(file, bytearray())
        return bytes(log[offset : offset + length]), len(log)

    def sizes(self, container_id: str) -> dict[str, int]:
        """The files of a container, by name."""
        return {name: len(log) for name, log in sorted(self._files[container_id].items())}
