"""One of those that are compared: how to start its client, and what its containers run."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import attrs

from integration.bench import floor_setup, skein_setup
from integration.bench.client_process import ClientProcess, started
from integration.bench.figures import FLOOR, KNIT, SKEIN, SKEIN_WARM
from integration.bench.yarn import Yarn

CONTAINER_MIB = 64
CLIENT_PATIENCE_SECONDS = 180.0


@attrs.frozen
class Side:
    """Starts clients of one kind."""

    name: str
    _python: Path
    _module: str
    _env: Mapping[str, str]
    _arguments: Callable[[str, str], Sequence[str]]
    """Of the step and the containers' command, what the client is called with."""
    _prepared: Callable[[], AbstractContextManager[object]] = nullcontext
    """What has to run while the client does, and is not measured."""
    word: str = ""
    """What a container does after its first line, so that the client hears of it."""

    @contextmanager
    def client(
        self,
        step: str,
        command: str,
        *,
        adds: Sequence[int] = (),
        instances: int = 1,
        more: Sequence[str] = (),
        patience_seconds: float = CLIENT_PATIENCE_SECONDS,
    ) -> Iterator[ClientProcess]:
        """A client process that has just been started on a step."""
        arguments = [step, *self._arguments(step, command)]
        for add in adds:
            arguments += ["--add", str(add)]
        if instances != 1:
            arguments += ["--instances", str(instances)]
        arguments += more
        with (
            self._prepared(),
            started(
                self._python,
                self._module,
                arguments,
                self._env,
                timeout_seconds=patience_seconds,
            ) as client,
        ):
            yield client


def knit_side(conf_dir: Path) -> Side:
    def arguments(step: str, command: str) -> list[str]:
        memory = f"{128 if step == 'follow' else CONTAINER_MIB} MiB"
        return ["--conf-dir", str(conf_dir), "--command", command, "--memory", memory]

    return Side(KNIT, Path(sys.executable), "knit_client", {}, arguments)


def skein_sides(python: Path, env: Mapping[str, str]) -> list[Side]:
    """skein as a user without a global driver starts it, and with the driver running already."""
    tell = "import skein; skein.ApplicationClient.from_current().kv['said'] = b'x'"

    def arguments(driver: str) -> Callable[[str, str], list[str]]:
        return lambda step, command: [
            *("--driver", driver, "--command", command, "--memory", f"{CONTAINER_MIB} MiB")
        ]

    word = f"{shlex.quote(str(python))} -c {shlex.quote(tell)}"
    return [
        Side(SKEIN, python, "skein_client", env, arguments("own"), word=word),
        Side(
            SKEIN_WARM,
            python,
            "skein_client",
            env,
            arguments("running"),
            prepared=lambda: skein_setup.driver_running(python, env),
            word=word,
        ),
    ]


def floor_side(yarn: Yarn, jar: Path, directory: Path) -> Side:
    nodes = ",".join(yarn.nodes())

    def arguments(step: str, command: str) -> list[str]:
        wish = f"ADD 1 {CONTAINER_MIB} {nodes}" if step == "cold" else ""
        path = floor_setup.write_submission(
            directory / f"{step}.json", floor_setup.submission(yarn, jar, command, wish)
        )
        return [
            *("--resource-manager", yarn.resource_manager, "--user", yarn.user),
            *("--submission", str(path), "--memory", str(CONTAINER_MIB), "--nodes", nodes),
        ]

    return Side(FLOOR, Path(sys.executable), "floor_client", {}, arguments)
