"""What the cluster's own command prints is read to the byte, whichever Hadoop it is of."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knit import ContainerLogs, LogsNotFoundError, LogsUnavailableError, WaitTimeoutError
from knit._cluster.logs.yarn_command import find_yarn, logs_by_yarn, parse

MASTER, ONE, TWO = (f"container_1700000000000_0001_01_{number:06}" for number in (1, 2, 3))
APPLICATION = "application_1700000000000_0001"
Log = tuple[str, str, str, bytes]
"""Container, node, file and content."""
Print = Callable[[list[Log]], bytes]


def hadoop_3(
    logs: list[Log],
    kind: str = "AGGREGATED",
    time: str = "LogLastModifiedTime",
    contents: str = "LogContents",
    at_the_end: str = "",
) -> bytes:
    """Each file after a head of its own."""
    printed = b""
    for container, node, file, content in logs:
        head = f"Container: {container} on {node}"
        end = f"End of LogType:{file}"
        printed += (
            f"{head}\nLogAggregationType: {kind}\n{'=' * len(head)}\nLogType:{file}\n"
            f"{time}:Tue Nov 24 12:08:45 +0000 2026\nLogLength:{len(content)}\n{contents}:\n"
        ).encode()
        printed += content + f"\n{end}{at_the_end}\n{'*' * (len(end) + 50)}\n\n".encode()
    return printed


def hadoop_3_running(logs: list[Log]) -> bytes:
    """Of containers that still run, which it says at the end of each file."""
    note = ".This log file belongs to a running container and so may not be complete."
    return hadoop_3(logs, "LOCAL", at_the_end=note)


def hadoop_2_10(logs: list[Log]) -> bytes:
    """The same with other words."""
    return hadoop_3(logs, time="Log Upload Time", contents="Log Contents")


def hadoop_2_7(logs: list[Log]) -> bytes:
    """A head for each container, and less in it."""
    printed, last = b"", ""
    for container, node, file, content in logs:
        if container != last:
            head = f"\n\nContainer: {container} on {node}"
            printed += f"{head}\n{'=' * len(head.strip())}\n".encode()
            last = container
        printed += (
            f"LogType:{file}\nLog Upload Time:Tue Nov 24\nLogLength:{len(content)}\n".encode()
        )
        printed += b"Log Contents:\n" + content + f"\nEnd of LogType:{file}\n\n".encode()
    return printed


def hadoop_2_6(logs: list[Log]) -> bytes:
    """Nothing at the end of a file."""
    printed = hadoop_2_7(logs)
    for _, _, file, _ in logs:
        printed = printed.replace(f"\nEnd of LogType:{file}\n".encode(), b"\n")
    return printed


VERSIONS = [hadoop_3, hadoop_3_running, hadoop_2_10, hadoop_2_7, hadoop_2_6]
RECORD = b'{"container_id":"%s","service":"web","rank":1,"attempt_number":2}\n' % TWO.encode()
LOGS: list[Log] = [
    (MASTER, "node-1_8041", "containers.jsonl", RECORD),
    (MASTER, "node-1_8041", "stderr", b"master\n"),
    (ONE, "node-1_8041", "stdout", b"one\n"),
    (ONE, "node-1_8041", "empty", b""),
    (TWO, "node-2.example.org_8041", "stdout", b"no newline"),
]


def read(containers: dict[str, ContainerLogs]) -> dict[str, dict[str, bytes]]:
    return {
        key: {file.name: logs.read(file.name) for file in logs.files}
        for key, logs in containers.items()
    }


def parsed(printed: bytes) -> dict[str, ContainerLogs]:
    output = tempfile.TemporaryFile()  # noqa: SIM115  (the result keeps it)
    output.write(printed)
    return parse(output)


def expected(logs: list[Log]) -> dict[str, dict[str, bytes]]:
    found: dict[str, dict[str, bytes]] = {}
    for container, _, file, content in logs:
        files = found.setdefault(container, {})
        files[file] = files.get(file, b"") + content
    return dict(sorted(found.items()))


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_is_read(version: Print) -> None:
    containers = parsed(b"INFO client.RMProxy: Connecting\n" + version(LOGS))
    assert read(containers) == expected(LOGS)
    assert list(containers) == [MASTER, ONE, TWO]
    two = containers[TWO]
    assert (two.node_id, two.service, two.rank, two.attempt_number) == (
        "node-2.example.org:8041", "web", 1, 2,
    )  # fmt: skip
    assert [each.is_application_master for each in containers.values()] == [True, False, False]
    assert (containers[ONE].service, containers[ONE].rank) == ("", 2)


CONTENTS = st.one_of(
    st.binary(max_size=200),
    # What looks like the command's own words.
    st.lists(
        st.sampled_from(
            [
                b"\n", b"x", b"LogContents:\n", b"Log Contents:\n", b"LogLength:3\n",
                b"LogType:stdout\n", b"\nEnd of LogType:stdout\n", b"LogAggregationType: LOCAL\n",
                f"Container: {ONE} on node-1_8041\n".encode(), b"*" * 20,
            ]
        ),
        max_size=12,
    ).map(b"".join),
)  # fmt: skip


@given(
    st.lists(
        st.tuples(
            st.sampled_from([ONE, TWO]),
            st.just("node-1_8041"),
            st.sampled_from(["stdout", "stderr", "with space.log"]),
            CONTENTS,
        ),
        max_size=5,
    ).map(lambda logs: sorted(logs, key=lambda log: log[0])),
    st.sampled_from([hadoop_3, hadoop_2_10, hadoop_2_7]),
)
def test_what_a_program_wrote_is_never_taken_for_the_commands_words(
    logs: list[Log], version: Print
) -> None:
    assert read(parsed(version(logs))) == expected(logs)


def test_a_file_that_shrank_while_it_was_collected_ends_where_it_does() -> None:
    printed = hadoop_3(LOGS).replace(b"LogLength:4\n", b"LogLength:400000\n")
    assert read(parsed(printed)) == expected(LOGS)


def test_output_that_is_cut_off_is_read_as_far_as_it_goes() -> None:
    printed = hadoop_3([(ONE, "node-1_8041", "stdout", b"x" * 1000)])
    cut = printed[: printed.index(b"xxx") + 10]
    assert read(parsed(cut)) == {ONE: {"stdout": b"x" * 10}}


# The command itself


def install(directory: Path, script: str) -> Path:
    """A command called yarn; its script mentions Hadoop, as Hadoop's does."""
    path = directory / "bin" / "yarn"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n# of Hadoop\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty installation of Hadoop; there is no other."""
    for variable in ("HADOOP_YARN_HOME", "HADOOP_PREFIX"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HADOOP_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    return tmp_path


def test_without_the_command_there_is_none(home: Path) -> None:
    assert logs_by_yarn(APPLICATION, timeout=timedelta(seconds=5)) is None


def test_a_yarn_that_is_not_hadoops_is_left_alone(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = home / "elsewhere" / "yarn"
    other.parent.mkdir()
    other.write_text("#!/usr/bin/env node\nrequire('./lib/cli');\n")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", f"{other.parent}{os.pathsep}{os.environ['PATH']}")
    assert find_yarn() is None
    assert find_yarn({"PATH": str(install(home, "").parent)}) == str(home / "bin" / "yarn")


def test_the_command_is_told_what_it_needs(home: Path) -> None:
    (home / "output").write_bytes(hadoop_3(LOGS))
    install(
        home,
        f'echo "$@" "$HADOOP_CONF_DIR" "$HADOOP_USER_NAME" > {home}/asked; cat {home}/output',
    )
    containers = logs_by_yarn(
        APPLICATION, timeout=timedelta(seconds=10), conf_dir="/conf", user="alice"
    )
    assert containers is not None
    assert read(containers) == expected(LOGS)
    assert (home / "asked").read_text() == f"logs -applicationId {APPLICATION} /conf alice\n"


def test_a_failure_says_what_the_command_said(home: Path) -> None:
    install(home, "echo 'Can not find the logs for the application.' >&2; exit 255")
    with pytest.raises(LogsUnavailableError, match="exit code 255: Can not find the logs"):
        logs_by_yarn(APPLICATION, timeout=timedelta(seconds=10))


def test_no_logs_are_an_error(home: Path) -> None:
    install(home, "echo 'does not have any log files.' >&2")
    with pytest.raises(LogsNotFoundError, match="does not have any log files"):
        logs_by_yarn(APPLICATION, timeout=timedelta(seconds=10))


def test_a_command_that_takes_too_long_is_ended_with_all_it_started(home: Path) -> None:
    install(home, f"sleep 60 & echo $! > {home}/pid; wait")
    began = time.monotonic()
    with pytest.raises(WaitTimeoutError, match=r"within 0\.5 s"):
        logs_by_yarn(APPLICATION, timeout=timedelta(seconds=0.5))
    assert time.monotonic() - began < 30
    pid = int((home / "pid").read_text())
    status = Path(f"/proc/{pid}/stat")
    deadline = time.monotonic() + 30
    while status.exists() and status.read_text().split()[2] != "Z":
        assert time.monotonic() < deadline, "it still runs"
        time.sleep(0.01)
