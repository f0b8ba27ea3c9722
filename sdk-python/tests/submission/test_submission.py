"""What YARN is asked to run."""

from __future__ import annotations

import base64
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knit._cluster.yarn.rest_door import body_of
from knit._cluster.yarn.rpc_door import context_of
from knit._staging.values import LocalResource
from knit._submission.am_container import (
    LAUNCH_COMMAND,
    LAUNCH_SECRET,
    SPEC_SECRET,
    AmSubmission,
    am_script,
    heap_mib,
    launch_secret,
)
from knit.exceptions import SpecError


def submission(**changes: Any) -> AmSubmission:
    values: dict[str, Any] = {
        "application_id": "application_1_0001",
        "name": "demo",
        "queue": "default",
        "memory_mib": 512,
        "vcores": 1,
        "jar": LocalResource(url="hdfs://nn/x.jar", size_bytes=7, modify_time_ms=9),
        "application_classpath": ("/opt/hadoop/*",),
        "secrets": {SPEC_SECRET: b"\xff\xfe\x00spec"},
        **changes,
    }
    return AmSubmission(**values)


def test_the_application_master_acts_as_the_user_where_the_node_runs_it_as_another() -> None:
    script = am_script(512, (), "o'hara")
    told = subprocess.run(
        ["bash", "-c", script.split("\n", 1)[0] + '; printf %s "$HADOOP_USER_NAME"'],
        capture_output=True,
        check=True,
    )
    assert told.stdout == b"o'hara"
    assert "HADOOP_USER_NAME" not in am_script(512, ())


LAUNCHES = Path(__file__).parents[3] / "am-kotlin" / "src" / "test" / "resources" / "launch"


@pytest.mark.skipif(not LAUNCHES.is_dir(), reason="only the repository has the JVM client")
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("plain", (512, ("/opt/hadoop/*",))),
        (
            "odd",
            (
                4096,
                (
                    "$HADOOP_CONF_DIR",
                    "{{HADOOP_HOME}}/share/*<CPS>/x",
                    '${A}/b c/`d`/"e"\\$(f)$',
                    "/grün/$ü/it's",
                ),
                "o'hara",
            ),
        ),
    ],
)
def test_the_settings_of_the_launch_are_the_jvm_clients(name: str, arguments: Any) -> None:
    """Its own test, LaunchScriptTest, holds it to the same files."""
    settings = (LAUNCHES / f"{name}.sh").read_text(encoding="utf-8")
    assert am_script(*arguments).startswith(f"{settings}# Finds Java and Hadoop")


@pytest.mark.parametrize("cancels", [True, False])
def test_at_either_door_it_is_said_whether_yarn_cancels_the_tokens(cancels: bool) -> None:
    """What nobody says is that it does."""
    handed_in = submission(cancels_tokens=cancels).to_submission()
    assert body_of(handed_in).get("cancel-tokens-when-complete", True) is cancels
    context = context_of(handed_in)
    assert context.HasField("cancel_tokens_when_complete") is not cancels
    assert context.cancel_tokens_when_complete is False


class TestBody:
    def test_it_says_what_yarn_wants_to_know(self) -> None:
        body = body_of(submission(tags=("a",), max_attempts=3).to_submission())
        assert body["application-type"] == "knit"
        assert body["resource"] == {"memory": 512, "vCores": 1}
        assert body["max-app-attempts"] == 3
        assert body["application-tags"] == {"tag": ["a"]}
        container = body["am-container-spec"]
        assert container["local-resources"]["entry"] == [
            {
                "key": "knit-am.jar",
                "value": {
                    "resource": "hdfs://nn/x.jar",
                    "type": "FILE",
                    "visibility": "PRIVATE",
                    "size": 7,
                    "timestamp": 9,
                },
            }
        ]

    def test_secrets_travel_in_the_credentials_and_nowhere_else(self) -> None:
        secret = os.urandom(300)
        body = body_of(submission(secrets={"knit.tls.key": secret}).to_submission())
        entries = secrets_of(body)
        assert entries["knit.tls.key"] == secret
        del body["am-container-spec"]["credentials"]
        assert base64.urlsafe_b64encode(secret).decode() not in str(body)
        assert repr(secret) not in repr(submission(secrets={"knit.tls.key": secret}))

    def test_the_script_travels_in_the_credentials_too(self) -> None:
        body = body_of(submission().to_submission())
        assert "environment" not in body["am-container-spec"]
        # What the next attempt is decided by: YARN itself does not tell it.
        script = am_script(512, ("/opt/hadoop/*",), environment={"MAX_APP_ATTEMPTS": "1"})
        assert secrets_of(body)[LAUNCH_SECRET] == launch_secret(script)

    def test_a_specification_that_is_too_large_is_told(self) -> None:
        body_of(submission(secrets={SPEC_SECRET: b"x" * (2 * 1024 * 1024)}).to_submission())
        with pytest.raises(SpecError, match="2097153 bytes"):
            body_of(submission(secrets={SPEC_SECRET: b"x" * (2 * 1024 * 1024 + 1)}).to_submission())

    def test_what_is_not_said_is_left_to_yarn(self) -> None:
        assert not {"priority", "application-tags"} & body_of(submission().to_submission()).keys()
        body = body_of(
            submission(priority=3, attempt_failures_validity=timedelta(minutes=1)).to_submission()
        )
        assert body["priority"] == 3
        assert body["attempt-failures-validity-interval"] == 60_000

    @pytest.mark.parametrize(
        ("memory", "heap"), [(100, 64), (256, 96), (512, 352), (640, 480), (4096, 3072)]
    )
    def test_the_heap_leaves_room_for_the_rest_of_the_jvm(self, memory: int, heap: int) -> None:
        assert heap_mib(memory) == heap


def secrets_of(body: Mapping[str, Any]) -> dict[str, bytes]:
    entries = body["am-container-spec"]["credentials"]["secrets"]["entry"]
    return {entry["key"]: base64.urlsafe_b64decode(entry["value"]) for entry in entries}


def launch(script: str, directory: Path, environment: Mapping[str, str]) -> tuple[int, str, str]:
    """Runs a script as a NodeManager does: through its `launch_container.sh`."""
    logs = directory / "logs"
    logs.mkdir(exist_ok=True)
    container = directory / "launch_container.sh"
    tokens = directory / "container_tokens"
    tokens.write_bytes(b"HDTS\0" + bytes(range(256)) + launch_secret(script) + bytes(range(256)))
    command = LAUNCH_COMMAND.replace("<LOG_DIR>", str(logs))
    container.write_text(
        "#!/bin/bash\nset -o pipefail -e\n"
        f'export HADOOP_TOKEN_FILE_LOCATION="{tokens}"\n'
        f'exec /bin/bash -c "{command}"\n',
        encoding="utf-8",
    )
    done = subprocess.run(
        ["/bin/bash", str(container)], cwd=directory, env=dict(environment), check=False
    )
    texts = [(logs / name).read_bytes().decode() for name in ("stdout", "stderr")]
    return done.returncode, texts[0], texts[1]


class TestLaunch:
    @settings(max_examples=40, deadline=None)
    @given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60))
    def test_a_script_means_what_it_says(
        self, tmp_path_factory: pytest.TempPathFactory, text: str
    ) -> None:
        script = f"printf %s {shlex.quote(text)}"
        directory = tmp_path_factory.getbasetemp() / "launch"
        directory.mkdir(exist_ok=True)
        code, stdout, stderr = launch(script, directory, {"PATH": os.environ["PATH"]})
        assert (code, stdout, stderr) == (0, text, "")

    @pytest.mark.parametrize(
        "text",
        [
            "$HOME",
            "`id`",
            "$(id)",
            "\\",
            '"',
            "'",
            "{{X}}",
            "<LOG_DIR>",
            "<CPS>",
            "a\nb\n\n",
            "!",
            "ü☃",
        ],
    )
    def test_what_yarn_and_shells_look_for_is_left_alone(self, tmp_path: Path, text: str) -> None:
        script = f"printf %s {shlex.quote(text)} >&2; exit 7"
        code, stdout, stderr = launch(script, tmp_path, {"PATH": os.environ["PATH"]})
        assert (code, stdout, stderr) == (7, "", text)

    def test_the_script_does_not_see_itself(self, tmp_path: Path) -> None:
        code, stdout, stderr = launch("env; wc -c", tmp_path, {"PATH": os.environ["PATH"]})
        assert (code, stderr) == (0, "")
        assert "knit" not in stdout.replace(str(tmp_path), "").lower()
        assert stdout.split()[-1] == "0", "nothing comes from stdin"


def test_the_modules_are_light() -> None:
    """Importing what submits does not pull in what only a connection needs."""
    program = (
        "import sys, knit._submission.checks, knit._submission.am_container;"
        "import knit._staging.staging, knit._cluster.cluster;"
        "print({'grpc', 'cryptography', 'google.protobuf'} & sys.modules.keys())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
