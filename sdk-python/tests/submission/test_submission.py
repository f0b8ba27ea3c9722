"""What YARN is asked to run, and that it finds Java and Hadoop on all kinds of nodes."""

from __future__ import annotations

import base64
import os
import re
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

from knit._cluster.configuration.config import ClusterConfig
from knit._cluster.yarn.rest_door import body_of
from knit._cluster.yarn.rpc_door import context_of
from knit._staging.values import LocalResource
from knit._submission.am_container import (
    LAUNCH_COMMAND,
    LAUNCH_SECRET,
    NO_HADOOP_EXIT_CODE,
    SPEC_SECRET,
    AmSubmission,
    am_script,
    heap_mib,
    launch_secret,
)
from knit.exceptions import SpecError

DEFAULT_CLASSPATH = ClusterConfig.from_properties({}).application_classpath


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


JAVA = """#!/bin/bash
if [ "$1" = -version ]; then echo 'openjdk version "{version}"' >&2; exit; fi
printf '%s\\n' "$CLASSPATH" "$@"
"""


class Node:
    """A node's directories, below a temporary one, and the environment YARN gives a container."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environment = {"PATH": "/usr/bin:/bin"}
        self.work = root / "work"
        self.work.mkdir()

    def java(self, home: str, version: str = "17.0.1", release: bool = True) -> str:
        directory = self.root / home
        (directory / "bin").mkdir(parents=True)
        if release:
            (directory / "release").write_text(
                f'IMPLEMENTOR="x"\nJAVA_VERSION="{version}"\nOS_NAME="Linux"\n'
            )
        (directory / "bin" / "java").write_text(JAVA.format(version=version))
        (directory / "bin" / "java").chmod(0o755)
        return str(directory)

    def jar(self, path: str) -> str:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
        return str(target)

    def path(self, path: str) -> str:
        return str(self.root / path)

    def run(
        self,
        classpath: tuple[str, ...] = (),
        memory_mib: int = 512,
        above: tuple[str, ...] = (),
    ) -> tuple[int, list[str], str]:
        """
        Exit code, lines of stdout (class path, then arguments), stderr.

        `above` are arguments of a process between us and the script.
        """
        script = am_script(memory_mib, classpath)
        # The usual places, below this node's root: there is no other way to have an empty node.
        for place in ("/usr/lib/hadoop", "/usr/hdp", "/opt/cloudera", "/opt/hadoop", "/etc/hadoop"):
            script = script.replace(f" {place}", f" {shlex.quote(str(self.root))}{place}")
        path = self.work / "script"
        path.write_text(script)
        done = subprocess.run(
            ["/bin/bash", "-c", f"/bin/bash {shlex.quote(str(path))}; exit $?", *above],
            cwd=self.work,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout.splitlines(), done.stderr


@pytest.fixture
def node(tmp_path: Path) -> Node:
    node = Node(tmp_path)
    node.environment["JAVA_HOME"] = node.java("jdk")
    return node


def classpath_of(lines: list[str]) -> list[str]:
    return lines[0].split(":")


class TestFindingHadoop:
    def test_the_configured_class_path_comes_first(self, node: Node) -> None:
        node.jar("common/hadoop-common-3.4.jar")
        node.jar("yarn/hadoop-yarn-client-3.4.jar")
        node.jar("home/share/hadoop/yarn/hadoop-yarn-client-3.4.jar")
        node.environment.update(A=node.path("common"), HADOOP_HOME=node.path("home"))
        code, lines, stderr = node.run(("$A/*", f"{node.path('yarn')}/*", "$UNSET/*"))
        assert (code, stderr) == (0, "")
        assert classpath_of(lines)[1:] == [
            f"{node.path('common')}/*",
            f"{node.path('yarn')}/*",
            "/*",
        ]

    @pytest.mark.parametrize("entry", ["${A}/*", "{{A}}/*", "$A/*"])
    def test_variables_are_the_nodes_own(self, node: Node, entry: str) -> None:
        node.jar("some where/hadoop-client-api-3.4.jar")
        node.environment["A"] = node.path("some where")
        _, lines, _ = node.run((entry,))
        assert classpath_of(lines)[1:] == [f"{node.path('some where')}/*"]

    def test_nothing_in_an_entry_is_run(self, node: Node) -> None:
        node.jar("lib/hadoop-client-api-3.4.jar")
        evil = (f"$(touch {node.path('a')})", f"`touch {node.path('b')}`", '"; exit 3; "', "\\")
        code, lines, _ = node.run((*evil, f"{node.path('lib')}/*"))
        assert code == 0
        assert f"{node.path('lib')}/*" in lines[0]
        assert not (node.root / "a").exists()
        assert not (node.root / "b").exists()

    @pytest.mark.parametrize(
        "variable", ["HADOOP_HOME", "HADOOP_YARN_HOME", "HADOOP_COMMON_HOME", "HADOOP_HDFS_HOME"]
    )
    def test_an_installation_is_found_by_its_variable(self, node: Node, variable: str) -> None:
        for part in ("common", "common/lib", "hdfs", "hdfs/lib", "yarn", "yarn/lib"):
            node.jar(f"home/share/hadoop/{part}/some.jar")
        node.jar("home/share/hadoop/yarn/hadoop-yarn-client-2.10.2.jar")
        node.environment[variable] = node.path("home")
        code, lines, _ = node.run()
        assert code == 0
        home = node.path("home/share/hadoop") + "/"
        below = [entry.removeprefix(home) for entry in classpath_of(lines)]
        for part in ("common/*", "common/lib/*", "hdfs/*", "hdfs/lib/*", "yarn/*", "yarn/lib/*"):
            assert part in below

    def test_hadoop_on_the_path_is_asked(self, node: Node) -> None:
        jar = node.jar("odd/place/hadoop-yarn-client-3.3.jar")
        script = node.root / "bin" / "hadoop"
        script.parent.mkdir()
        script.write_text(f"#!/bin/bash\necho noise >&2\necho /conf:{jar}:/x/*\n")
        script.chmod(0o755)
        node.environment["PATH"] += f":{script.parent}"
        code, lines, stderr = node.run()
        assert (code, stderr) == (0, "")
        assert classpath_of(lines)[1:] == ["/conf", jar, "/x/*"]

    @pytest.mark.parametrize(
        "jar",
        [
            "usr/lib/hadoop-yarn/hadoop-yarn-client-2.10.jar",
            "usr/lib/hadoop/client/hadoop-client-api-3.3.jar",
            "usr/hdp/current/hadoop-yarn-client/hadoop-yarn-client.jar",
            "opt/cloudera/parcels/CDH/lib/hadoop-yarn/hadoop-yarn-client.jar",
            "opt/hadoop/share/hadoop/yarn/hadoop-yarn-client-3.4.2.jar",
            "opt/hadoop/share/hadoop/client/hadoop-client-api-3.4.2.jar",
        ],
    )
    def test_usual_places_are_looked_at(self, node: Node, jar: str) -> None:
        path = node.jar(jar)
        code, lines, _ = node.run()
        assert code == 0
        assert f"{path.rpartition('/')[0]}/*" in classpath_of(lines)

    @pytest.mark.parametrize("option", ["-cp", "-classpath", "--class-path"])
    def test_the_node_managers_own_class_path_is_the_last_resort(
        self, node: Node, option: str
    ) -> None:
        jar = node.jar("repository/hadoop-yarn-client-3.4.2.jar")
        code, lines, _ = node.run(above=("java", option, f"/a.jar:{jar}", "NodeManager"))
        assert code == 0
        assert classpath_of(lines)[1:] == ["/a.jar", jar]

    def test_the_node_manager_may_have_it_in_its_environment(self, node: Node) -> None:
        jar = node.jar("repository/hadoop-yarn-client-3.4.2.jar")
        # A process called java, which has CLASSPATH and runs the script with another environment.
        java = node.root / "java"
        java.symlink_to("/bin/bash")
        script = am_script(512, ())
        (node.work / "script").write_text(script)
        done = subprocess.run(
            [str(java), "-c", f"env -u CLASSPATH /bin/bash {node.work}/script; exit $?"],
            env={**node.environment, "CLASSPATH": f"/b.jar:{jar}"},
            cwd=node.work,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert jar in done.stdout

    def test_nothing_found_is_one_sentence_that_says_what_was_tried(self, node: Node) -> None:
        node.jar("home/share/hadoop/yarn/unrelated.jar")
        node.environment["HADOOP_HOME"] = node.path("home")
        code, lines, stderr = node.run(DEFAULT_CLASSPATH)
        assert code == NO_HADOOP_EXIT_CODE
        assert lines == []
        assert len(stderr.splitlines()) == 1
        for tried in ("yarn.application.classpath", "HADOOP_HOME", "/opt/cloudera"):
            assert tried in stderr


class TestConfiguration:
    def test_the_jar_and_the_nodes_configuration_come_before_hadoop(self, node: Node) -> None:
        for directory in ("conf", "yarn-conf", "etc/hadoop/conf"):
            (node.root / directory).mkdir(parents=True)
        node.jar("lib/hadoop-client-api.jar")
        node.environment.update(
            HADOOP_CONF_DIR=node.path("conf"), YARN_CONF_DIR=node.path("yarn-conf")
        )
        _, lines, _ = node.run((f"{node.path('lib')}/*",))
        assert classpath_of(lines) == [
            str(node.work / "knit-am.jar"),
            node.path("conf"),
            node.path("yarn-conf"),
            node.path("etc/hadoop/conf"),
            f"{node.path('lib')}/*",
        ]

    def test_a_directory_is_named_once_and_only_if_it_is_there(self, node: Node) -> None:
        (node.root / "conf").mkdir()
        node.jar("lib/hadoop-client-api.jar")
        node.environment.update(
            HADOOP_CONF_DIR=node.path("conf"), YARN_CONF_DIR=node.path("conf"), HADOOP_HOME="/no"
        )
        _, lines, _ = node.run((f"{node.path('lib')}/*",))
        assert classpath_of(lines)[1:] == [node.path("conf"), f"{node.path('lib')}/*"]


class TestJava:
    def run(self, node: Node) -> list[str]:
        node.jar("lib/hadoop-client-api.jar")
        code, lines, stderr = node.run((f"{node.path('lib')}/*",), memory_mib=1024)
        assert code == 0, stderr
        return lines[1:]

    def test_a_quick_start_and_a_bounded_heap(self, node: Node) -> None:
        arguments = self.run(node)
        assert arguments[-1] == "knit.am.MainKt"
        assert "-Xmx768m" in arguments
        for flag in ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError"):
            assert flag in arguments

    def test_what_it_reserves_is_within_the_limit_of_virtual_memory(self, node: Node) -> None:
        """2.1 times the container's size is the default, and the smallest is the hardest."""
        node.environment["MALLOC_ARENA_MAX"] = "64"
        java = Path(node.environment["JAVA_HOME"]) / "bin" / "java"
        java.write_text(java.read_text() + 'printf "%s\\n" "$MALLOC_ARENA_MAX"\n')
        *arguments, arenas = self.run(node)
        sizes = {
            name: int(value)
            for argument in arguments
            if (match := re.fullmatch(r"-(?:XX:|X)(\D+?)=?(\d+)[mk]", argument))
            for name, value in [match.groups()]
        }
        assert arenas == "1", "each of them reserves 64 MiB"
        assert sizes["CompressedClassSpaceSize"] + sizes["ReservedCodeCacheSize"] <= 64
        assert sizes["ss"] == 512

    @pytest.mark.parametrize("release", [True, False])
    @pytest.mark.parametrize(
        ("version", "modules"),
        [("1.8.0_392", False), ("9", True), ("11.0.2", True), ("17.0.15", True), ("26-ea", True)],
    )
    def test_modules_are_opened_only_where_there_are_any(
        self, node: Node, version: str, modules: bool, release: bool
    ) -> None:
        node.environment["JAVA_HOME"] = node.java("other", version, release)
        opened = any(argument.startswith("--add-opens") for argument in self.run(node))
        assert opened is modules

    def test_java_on_the_path_will_do(self, node: Node) -> None:
        node.environment["PATH"] = f"{node.environment['JAVA_HOME']}/bin:/usr/bin:/bin"
        node.environment["JAVA_HOME"] = "/no/such"
        assert self.run(node)

    def test_no_java_is_one_sentence(self, node: Node) -> None:
        node.environment["PATH"] = "/no/such"  # the script needs no program up to this point
        node.environment["JAVA_HOME"] = "/no/such"
        code, lines, stderr = node.run(("/x/*",))
        assert (code, lines) == (NO_HADOOP_EXIT_CODE, [])
        assert len(stderr.splitlines()) == 1
        assert "there is no Java on this node" in stderr


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
