"""The archive of classes that the launch script uses and makes, on nodes with a Java of our own."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from knit._submission.am_container import am_script

pytestmark = pytest.mark.one_python("the shell's part: no Python runs on a node")

JAVA = r"""#!/bin/bash
# Says what it was called for, and does what the JVM would.
said=run
for argument; do
  case "$argument" in
    -XX:DumpLoadedClassList=*) echo java/lang/Object > "${argument#*=}"; said=list ;;
    -XX:ArchiveClassesAtExit=*) archive="${argument#*=}"; said=make ;;
    -version) said=try ;;
    -XX:SharedArchiveFile=*) [ "$said" = run ] && said=use ;;
  esac
done
printf '%s\n' "$said" >> "$NOTES/calls"
printf '%s\n' "$CLASSPATH" "$@" > "$NOTES/$said"
if [ -n "$archive" ]; then
  echo half > "$archive"
  [ -z "$SLOW" ] || { echo $$ > "$NOTES/maker"; sleep 60 & wait; }
  echo whole > "$archive"
fi
declare -n status="STATUS_$said"
[ -z "$BE_TOLD" ] || [ "$said" != list ] || exec "$PYTHON" -c "
import os, signal, sys
signal.signal(signal.SIGTERM, lambda *_: os._exit(143))
signal.signal(signal.SIGQUIT, lambda *_: open('$NOTES/threads', 'a').write('shown'))
open('$NOTES/master', 'w').write(str(os.getpid()))
while True: signal.pause()
"
exit "${status:-0}"
"""


class Node:
    """A node on which one version of the jar lies, and applications start one after the other."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.place = root / "filecache" / "10"
        self.place.mkdir(parents=True, mode=0o755)
        self.jar = self.place / "knit.jar"
        self.jar.write_text("jar")
        self.hadoop = root / "hadoop"
        self.hadoop.mkdir()
        for name in ("z.jar", "hadoop-client-api.jar", "a.jar"):
            (self.hadoop / name).write_text(name)
        self.conf = root / "conf"
        self.conf.mkdir()
        (self.conf / "core-site.xml").write_text("x")
        self.notes = root / "notes"
        self.notes.mkdir()
        self.home = self.java("17.0.15")
        self.environment = {
            "PATH": "/usr/bin:/bin",
            "HADOOP_CONF_DIR": str(self.conf),
            "NOTES": str(self.notes),
            "PYTHON": sys.executable,
            "CONTAINER_ID": "container_e01_1_0001_01_000001",
        }
        self._count = 0
        self._processes: list[subprocess.Popen[str]] = []

    def java(self, version: str) -> Path:
        home = self.root / f"jdk-{version}"
        for name in ("bin/java", "lib/modules", "lib/server/libjvm.so", "lib/server/classes.jsa"):
            path = home / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(JAVA)
        (home / "bin" / "java").chmod(0o755)
        (home / "release").write_text(f'JAVA_VERSION="{version}"\n')
        return home

    def start(
        self,
        *,
        memory_mib: int = 512,
        class_archive: bool = True,
        path: tuple[str, ...] = (),
        **environment: str,
    ) -> subprocess.Popen[str]:
        """An application's process, as YARN starts it: in a directory and a group of its own."""
        self._count += 1
        work = self.root / f"container-{self._count}"
        work.mkdir()
        (work / "knit-am.jar").symlink_to(self.jar)
        script = am_script(
            memory_mib, (f"{self.hadoop}/*", *path), class_archive=class_archive
        ).replace(" /etc/hadoop/conf", " /no/such")
        process = subprocess.Popen(
            ["/bin/bash", "-c", f"eval {shlex.quote(script)}"],
            cwd=work,
            env={**self.environment, "JAVA_HOME": str(self.home), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            # A shell ignores for good what whoever started the tests in the background ignores.
            preexec_fn=lambda: signal.signal(signal.SIGQUIT, signal.SIG_DFL),
        )
        self._processes.append(process)
        return process

    def run(self, code: int = 0, **arguments: object) -> list[str]:
        """What an application's start had Java called for, in order. It says nothing itself."""
        (self.notes / "calls").unlink(missing_ok=True)
        process = self.start(**arguments)  # type: ignore[arg-type]
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out, err) == (code, "", "")
        return (self.notes / "calls").read_text().split()

    def told(self, what: str) -> list[str]:
        return (self.notes / what).read_text().splitlines()

    def wait_for(self, name: str) -> str:
        deadline = time.monotonic() + 60
        path = self.notes / name
        while not path.exists() or not path.read_text():
            assert time.monotonic() < deadline, f"{name} did not come"
            time.sleep(0.02)
        return path.read_text().strip()

    def end_all(self) -> None:
        """Nothing outlives a test, however it went."""
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate(timeout=60)

    @property
    def archives(self) -> list[Path]:
        return sorted(
            path for path in self.place.glob(".knit-classes-*") if path.suffix in ("", ".part")
        )

    @property
    def archive(self) -> Path:
        [archive] = self.archives
        return archive


MADE = ["list", "make", "try"]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path)
    yield node
    node.end_all()


class TestOnceANode:
    def test_the_first_application_makes_it_when_it_has_ended_and_the_next_use_it(
        self, node: Node
    ) -> None:
        assert node.run() == MADE
        assert node.archive.read_text() == "whole\n"
        assert node.archive.stat().st_mode & 0o777 == 0o400
        assert node.run() == ["use"]
        assert f"-XX:SharedArchiveFile={node.archive}" in node.told("use")
        assert node.run() == ["use"]

    def test_its_class_path_is_the_beginning_of_the_one_it_is_used_with(self, node: Node) -> None:
        node.run()
        node.run()
        jars = [node.jar, *(node.hadoop / n for n in ("a.jar", "hadoop-client-api.jar", "z.jar"))]
        assert node.told("make")[0].split(":") == [str(jar) for jar in jars]
        assert node.told("use")[0].split(":") == [*(str(jar) for jar in jars), str(node.conf)]
        assert node.told("try")[0] == node.told("use")[0]
        assert node.told("make")[-1] == str(node.conf), "whose files must not be in a jar too"
        for call in ("make", "try", "use"):
            assert "-XX:+UseSerialGC" in node.told(call)

    def test_without_one_the_class_path_is_as_ever(self, node: Node) -> None:
        node.run()
        assert node.told("list")[0].split(":")[1:] == [str(node.conf), f"{node.hadoop}/*"]

    def test_an_application_that_failed_makes_none(self, node: Node) -> None:
        assert node.run(code=70, STATUS_list="70") == ["list"]
        assert node.archives == []

    def test_one_that_cannot_be_made_is_tried_three_times(self, node: Node) -> None:
        for _ in range(3):
            assert node.run(STATUS_make="1") == ["list", "make"]
        assert node.run(STATUS_make="1") == ["run"]
        assert node.archives == []

    def test_one_that_the_jvm_does_not_take_is_not_kept(self, node: Node) -> None:
        assert node.run(STATUS_try="1") == MADE
        assert node.archives == []

    def test_old_ones_are_removed_but_for_one(self, node: Node) -> None:
        for number in range(4):
            (node.hadoop / f"more-{number}.jar").write_text("x")
            assert node.run() == MADE
            time.sleep(0.02)
        assert len(node.archives) == 2
        left = {path.name.split(".")[1] for path in node.place.glob(".knit-classes-*")}
        assert {f".{name}" for name in left} == {path.name for path in node.archives}
        assert node.run() == ["use"]


class TestNone:
    @pytest.mark.parametrize("version", ["1.8.0_392", "11.0.2", "16.0.1", "", "ea"])
    def test_a_java_that_cannot_make_it_in_a_containers_room(
        self, node: Node, version: str
    ) -> None:
        node.home = node.java(version)
        assert node.run() == ["run"]

    def test_a_java_without_an_archive_of_its_own(self, node: Node) -> None:
        (node.home / "lib" / "server" / "classes.jsa").unlink()
        assert node.run() == ["run"]

    def test_turned_off(self, node: Node) -> None:
        assert node.run(class_archive=False) == ["run"]

    def test_a_small_container(self, node: Node) -> None:
        assert node.run(memory_mib=511) == ["run"]

    def test_a_second_attempt_which_has_a_new_one_made(self, node: Node) -> None:
        node.run()
        assert node.run(CONTAINER_ID="container_e01_1_0001_02_000001") == ["run"]
        assert node.run() == MADE

    @pytest.mark.parametrize("mode", [0o775, 0o757, 0o777])
    def test_a_place_where_others_may_write(self, node: Node, mode: int) -> None:
        node.run()
        node.place.chmod(mode)
        assert node.run() == ["run"]

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    def test_a_place_where_it_may_not_write(self, node: Node) -> None:
        node.place.chmod(0o555)
        assert node.run() == ["run"]
        node.place.chmod(0o755)

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
    def test_a_place_of_somebody_else(self, node: Node) -> None:
        node.run()
        os.chown(node.place, 65534, 65534)
        assert node.run() == ["run"]

    def test_a_class_path_of_the_container_itself(self, node: Node) -> None:
        assert node.run(path=("$PWD/*",)) == ["run"]
        assert node.run(path=("lib/*",)) == ["run"]

    def test_directories_with_more_files_than_can_be_looked_at(self, node: Node) -> None:
        for number in range(2000):
            (node.conf / f"{number}").touch()
        assert node.run() == ["run"]

    def test_a_disk_that_is_nearly_full(self, node: Node) -> None:
        tools = node.root / "tools"
        tools.mkdir()
        (tools / "df").write_text("#!/bin/bash\necho head\necho /dev/x 9 9 1048575 9% /\n")
        (tools / "df").chmod(0o755)
        assert node.run(PATH=f"{tools}:/usr/bin:/bin") == ["list"]
        assert node.archives == []
        (tools / "df").write_text("#!/bin/bash\necho head\necho /dev/x 9 9 1048576 9% /\n")
        assert node.run(PATH=f"{tools}:/usr/bin:/bin") == MADE


def cut(path: Path) -> None:
    path.chmod(0o600)
    os.truncate(path, 2)


def empty(path: Path) -> None:
    path.chmod(0o600)
    os.truncate(path, 0)


def garbage(path: Path) -> None:
    """As long as before, and with its old time."""
    before = path.stat()
    path.chmod(0o600)
    path.write_text("wrong\n")
    path.chmod(0o400)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def copy(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    shutil.copy2(path.with_name("elsewhere"), path)


def directory(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "file").touch()


def writable(path: Path) -> None:
    path.chmod(0o666)


def seal_gone(path: Path) -> None:
    path.with_name(path.name + ".seal").unlink()


def seal_garbage(path: Path) -> None:
    path.with_name(path.name + ".seal").write_bytes(b"\0\xff" * 99)


class TestBroken:
    @pytest.mark.parametrize(
        "damage",
        [
            cut,
            empty,
            garbage,
            link,
            copy,
            directory,
            writable,
            seal_gone,
            seal_garbage,
            Path.unlink,
        ],
    )
    def test_it_is_not_used_and_made_anew(
        self, node: Node, damage: Callable[[Path], object]
    ) -> None:
        node.run()
        time.sleep(0.02)  # the clock of files ticks a hundred times a second
        damage(node.archive)
        assert node.run() == MADE
        assert node.archive.read_text() == "whole\n"
        assert node.run() == ["use"]

    def changed_jar(self, node: Node) -> None:
        os.utime(node.hadoop / "a.jar", (1, 1))

    def grown_jar(self, node: Node) -> None:
        (node.hadoop / "a.jar").write_text("longer than before")

    def new_jar(self, node: Node) -> None:
        (node.hadoop / "b.jar").touch()

    def new_jar_of_ours(self, node: Node) -> None:
        os.utime(node.jar, (1, 1))

    def new_file(self, node: Node) -> None:
        (node.conf / "ssl-client.xml").touch()

    def other_java(self, node: Node) -> None:
        node.home = node.java("21.0.1")

    def renewed_java(self, node: Node) -> None:
        os.utime(node.home / "lib" / "modules", (1, 1))

    def other_options(self, node: Node) -> None:
        node.environment["JAVA_TOOL_OPTIONS"] = "-Dx=y"

    @pytest.mark.parametrize(
        "change",
        [
            changed_jar,
            grown_jar,
            new_jar,
            new_jar_of_ours,
            new_file,
            other_java,
            renewed_java,
            other_options,
        ],
    )
    def test_another_java_or_class_path_has_another(
        self, node: Node, change: Callable[[TestBroken, Node], None]
    ) -> None:
        node.run()
        before = node.archive
        change(self, node)
        assert node.run() == MADE
        assert len(node.archives) == 2
        assert node.run() == ["use"]
        assert f"-XX:SharedArchiveFile={before}" not in node.told("use")

    def test_what_a_file_of_the_configuration_says_is_not_in_it(self, node: Node) -> None:
        node.run()
        (node.conf / "core-site.xml").write_text("something else")
        assert node.run() == ["use"]


def end(node: Node, process: subprocess.Popen[str], number: int) -> int:
    """As YARN does: the whole group."""
    os.killpg(process.pid, number)
    process.communicate(timeout=60)
    return process.returncode


class TestSignals:
    @pytest.mark.parametrize("kill", [os.kill, os.killpg])
    def test_the_application_masters_own_end_is_the_scripts(
        self, node: Node, kill: Callable[[int, int], None]
    ) -> None:
        process = node.start(BE_TOLD="1")
        node.wait_for("master")
        kill(process.pid, signal.SIGTERM)
        process.communicate(timeout=60)
        assert process.returncode == 143
        assert node.told("calls") == ["list"]
        assert node.archives == []

    def test_threads_are_shown_on_request(self, node: Node) -> None:
        process = node.start(BE_TOLD="1")
        node.wait_for("master")
        os.kill(process.pid, signal.SIGQUIT)
        node.wait_for("threads")
        assert process.poll() is None
        assert end(node, process, signal.SIGTERM) == 143

    def test_an_application_master_that_was_killed_is_told_of_as_such(self, node: Node) -> None:
        process = node.start(BE_TOLD="1")
        os.kill(int(node.wait_for("master")), signal.SIGKILL)
        process.communicate(timeout=60)
        assert process.returncode == 137
        assert node.told("calls") == ["list"]

    def test_an_end_meanwhile_leaves_nothing_half_made(self, node: Node) -> None:
        process = node.start(SLOW="1")
        maker = int(node.wait_for("maker"))
        assert end(node, process, signal.SIGTERM) == 0, "the Application Master's"
        assert not alive(maker)
        assert node.archives == []
        assert node.run() == MADE

    def test_a_maker_that_was_killed_holds_no_lock(self, node: Node) -> None:
        process = node.start(SLOW="1")
        node.wait_for("maker")
        end(node, process, signal.SIGKILL)
        assert node.run() == MADE
        assert node.archive.read_text() == "whole\n"
        assert node.run() == ["use"]

    def test_one_at_a_time_makes_it_and_others_do_not_wait(self, node: Node) -> None:
        process = node.start(SLOW="1")
        node.wait_for("maker")
        assert node.run() == ["list"]
        end(node, process, signal.SIGKILL)


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2]
    except OSError:
        return False
