"""That what YARN runs finds Java and Hadoop on all kinds of nodes."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from knit._cluster.configuration.config import ClusterConfig
from knit._submission.am_container import (
    NO_HADOOP_EXIT_CODE,
    am_script,
)

DEFAULT_CLASSPATH = ClusterConfig.from_properties({}).application_classpath

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
