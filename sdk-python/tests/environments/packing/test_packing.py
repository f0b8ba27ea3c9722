"""Environments of this machine, packed, unpacked elsewhere and run there with nothing of ours."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import knit
from knit import PackingProgress, PythonEnvironmentError, pack_environment
from knit._environments.packing import elf
from knit._environments.packing.cache import path_of, prune
from knit._environments.packing.entries import fingerprint, of_file
from tests.environments.building import make_venv, write_wheel
from tests.environments.unpacking import contents, fit, run, unpack

OWN = pytest.mark.one_python("packs an interpreter for itself; on each Python others share one")

WHERE = (
    "import json, site, sys; print(json.dumps("
    "[sys.prefix, sys.base_prefix, sys.executable, sys.path, site.ENABLE_USER_SITE]))"
)


def test_a_virtual_environment_runs_elsewhere_with_an_interpreter_of_its_own(
    packed: Path, tmp_path: Path
) -> None:
    prefix = unpack(packed, tmp_path / "some where")

    where = json.loads(run(prefix, "bin/python", "-c", WHERE))
    assert where[0] == str(prefix)
    assert os.path.normpath(where[1]) == str(prefix / "knit-base")
    assert [path for path in where[3] if path and not path.startswith(str(prefix))] == []
    assert where[4] is False  # the node's user has nothing to add
    assert run(prefix, "bin/greeting", "you") == f"hello from {prefix} you"


@OWN
@pytest.mark.skipif(not os.path.exists("/usr/bin/python3"), reason="the system has no Python")
def test_one_of_the_systems_python_finds_none_of_its_packages(tmp_path: Path) -> None:
    """Debian's looks in places of its own, and is one program with few libraries."""
    venv = make_venv(tmp_path / "venv", write_wheel(tmp_path), python="/usr/bin/python3")
    prefix = unpack(pack_environment(venv), tmp_path / "there")

    where = json.loads(run(prefix, "bin/python", "-c", WHERE))
    assert where[0] == str(prefix)
    assert os.path.normpath(where[1]) == str(prefix / "knit-base")
    assert [path for path in where[3] if path and not path.startswith(str(prefix))] == []
    assert run(prefix, "bin/greeting") == f"hello from {prefix}"


@OWN
def test_where_a_program_has_no_room_for_it_a_variable_says_where_libraries_are(
    venv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elf, "with_rpath", lambda data, rpath: None)
    prefix = unpack(pack_environment(venv), tmp_path)

    activate = ". etc/conda/activate.d/knit-libraries.sh && "
    said = run(prefix, "sh", "-c", activate + "echo $LD_LIBRARY_PATH && bin/greeting")
    assert said.splitlines() == [f"{prefix}/knit-base/lib", f"hello from {prefix}"]


def test_the_interpreter_finds_its_libraries_beside_it(packed: Path, tmp_path: Path) -> None:
    prefix = unpack(packed, tmp_path)

    code = (
        "import bz2, ctypes, lzma, pyexpat, sqlite3, ssl, zlib\n"
        "print(*{line.split()[-1] for line in open('/proc/self/maps') if '.so' in line})"
    )
    loaded = run(prefix, "bin/python", "-c", code).split()
    names = {Path(path).name.partition(".so")[0] for path in loaded if str(prefix) not in path}
    assert names <= {"libc", "libm", "libpthread", "libdl", "libutil", "librt", "ld-linux-x86-64"}


def test_a_program_runs_by_its_name_alone_and_by_a_link(packed: Path, tmp_path: Path) -> None:
    prefix = unpack(packed, tmp_path)
    (tmp_path / "link").symlink_to(prefix / "bin" / "greeting")

    assert run(prefix, "greeting", path=f"{prefix}/bin:/usr/bin:/bin") == f"hello from {prefix}"
    assert run(prefix, str(tmp_path / "link")) == f"hello from {prefix}"


def test_a_program_runs_where_its_path_is_longer_than_the_kernel_takes(
    packed: Path, tmp_path: Path
) -> None:
    prefix = unpack(packed, tmp_path / ("x" * 200) / ("y" * 200))

    assert run(prefix, "bin/greeting") == f"hello from {prefix}"


@OWN
def test_a_program_installed_by_way_of_a_shell_runs_elsewhere(tmp_path: Path) -> None:
    """As pip writes it where the path of the interpreter is too long, or has a space in it."""
    home = tmp_path / ("x" * 150) / "a b"
    home.mkdir(parents=True)
    venv = make_venv(home / "venv", write_wheel(tmp_path))
    assert (venv / "bin" / "greeting").read_bytes().startswith(b"#!/bin/sh")

    prefix = unpack(pack_environment(venv), tmp_path / "there")
    shutil.rmtree(venv)

    assert run(prefix, "bin/greeting") == f"hello from {prefix}"


def test_an_unpacked_environment_can_be_moved_again(packed: Path, tmp_path: Path) -> None:
    unpack(packed, tmp_path / "first")
    prefix = (tmp_path / "first" / "PYTHON_DIR").rename(tmp_path / "second")
    fit(prefix)

    assert run(prefix, "bin/greeting") == f"hello from {prefix}"
    assert str(tmp_path / "first") not in (prefix / "pyvenv.cfg").read_text()


def test_the_unpacked_environment_can_be_activated_in_a_shell(packed: Path, tmp_path: Path) -> None:
    prefix = unpack(packed, tmp_path / "it's here")

    said = run(prefix, "sh", "-c", ". bin/activate && greeting && deactivate && echo $PATH")
    assert said == f"hello from {prefix}\n/usr/bin:/bin"


def test_the_archive_leaves_out_what_no_program_needs(packed: Path) -> None:
    names = contents(packed)

    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    assert f"knit-base/lib/{version}/os.py" in names
    assert not [n for n in names if n.startswith("knit-base/") and "__pycache__" in n]
    assert not [n for n in names if n.startswith(f"knit-base/lib/{version}/test/")]
    assert not [n for n in names if n.startswith("knit-base/") and "-packages" in n]


def test_what_came_compiled_is_not_compiled_again(packed: Path, tmp_path: Path) -> None:
    prefix = unpack(packed, tmp_path)

    said = run(prefix, "sh", "-c", "bin/python -v -c 'import greeting' 2>&1")
    (file,) = prefix.glob("lib/python3*/site-packages/greeting/__pycache__/*.pyc")
    assert f"# code object from '{file}'" in said


@OWN
def test_what_is_compiled_of_another_source_is_compiled_again(tmp_path: Path) -> None:
    venv = make_venv(tmp_path / "venv", write_wheel(tmp_path))
    (source,) = venv.glob("lib/python3*/site-packages/greeting/__init__.py")
    source.write_text("def main():\n    print('changed')\n")

    prefix = unpack(pack_environment(venv), tmp_path / "there")
    assert run(prefix, "bin/greeting") == "changed"


@OWN
def test_the_same_environment_makes_the_same_bytes(packed: Path, venv: Path) -> None:
    run(venv, "bin/python", "-c", "import greeting, json.tool")  # leaves compiled code behind
    second = pack_environment(venv)

    assert second != packed
    assert second.read_bytes() == packed.read_bytes()
    members = contents(second).values()
    assert {(m.uid, m.gid, m.uname, m.gname) for m in members} == {(0, 0, "", "")}
    assert len({m.mtime for m in members}) == 1
    assert [m.name for m in members] == sorted(m.name for m in members)


@OWN
def test_what_has_not_changed_is_not_packed_again(venv: Path) -> None:
    states: list[PackingProgress] = []
    first = pack_environment(venv, progress=states.append)
    assert states[-1].packed_bytes == states[-1].total_bytes > 0
    assert not states[-1].cached

    states.clear()
    assert pack_environment(venv, progress=states.append) == first
    assert [state.cached for state in states] == [True]


@OWN
def test_a_change_makes_another_archive(tmp_path: Path) -> None:
    venv = make_venv(tmp_path / "venv")
    first = pack_environment(venv)
    (venv / "more").write_text("more")

    second = pack_environment(venv)
    assert second != first
    assert "more" in contents(second)


def test_archives_of_an_environment_that_changes_do_not_pile_up(cache: Path) -> None:
    cache.mkdir(parents=True)
    environment = Path("/home/me/env")
    hour = 3600
    ages = [0, hour // 2, hour // 2, 2 * hour, 3 * hour]
    packed = [path_of(environment, str(number) * 32) for number in range(len(ages))]
    other = path_of(Path("/home/me/other"), "a" * 32)
    unused = path_of(Path("/home/me/unused"), "a" * 32)
    part = cache / f".{other.name}.0.part"
    broken = cache / f".{other.name}.1.part"
    for path, age in [
        *zip(packed, ages, strict=True),
        (other, 3 * hour),
        (unused, 31 * 24 * hour),
        (part, 3 * hour),
        (broken, 25 * hour),
    ]:
        path.touch()
        os.utime(path, (time.time() - age, time.time() - age))

    prune(environment)

    assert sorted(cache.iterdir()) == sorted([*packed[:3], other, part])


@OWN
def test_an_output_is_a_file_of_its_own(packed: Path, venv: Path, tmp_path: Path) -> None:
    output = pack_environment(venv, tmp_path / "out.tar.gz")

    assert output == tmp_path / "out.tar.gz"
    assert output.read_bytes() == packed.read_bytes()


@OWN
def test_nothing_half_written_is_left_when_packing_breaks_off(venv: Path, cache: Path) -> None:
    def interrupt(_: PackingProgress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pack_environment(venv, progress=interrupt)

    assert list(cache.iterdir()) == []


@OWN
def test_two_at_once_both_get_the_whole_archive(venv: Path) -> None:
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.append(pack_environment(venv).read_bytes()))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found[0] == found[1]
    assert len(gzip.decompress(found[0])) > 1_000_000


@OWN
def test_links_that_leave_the_environment_become_files(tmp_path: Path) -> None:
    venv = make_venv(tmp_path / "venv")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("text")
    (venv / "directory").symlink_to(tmp_path / "outside")
    (venv / "inside").symlink_to(venv / "pyvenv.cfg")
    (venv / "nowhere").symlink_to("nothing")

    names = contents(pack_environment(venv))

    assert names["directory/file"].isfile()
    assert names["inside"].linkname == "pyvenv.cfg"
    assert "nowhere" not in names


def _plain(directory: Path) -> Path:
    """An interpreter in a directory of its own, as an archive of ours has it."""
    source = unpack(pack_environment(make_venv(directory / "venv")), directory / "x") / "knit-base"
    (source / "activate.sh").unlink()
    subprocess.run(["chmod", "-R", "u+w", str(source)], check=True)
    return source.rename(directory / "plain")


@OWN
def test_a_directory_with_its_own_interpreter_is_packed_as_it_is(tmp_path: Path) -> None:
    plain = _plain(tmp_path)
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    packages = plain / "lib" / version / "site-packages"
    packages.mkdir()
    (packages / "greeting.py").write_text("def main():\n    print('hello')\n")
    program = plain / "bin" / "greeting"
    program.write_text(f"#!{plain}/bin/{version} -E\nimport greeting\ngreeting.main()\n")
    shell = plain / "bin" / "by-shell"
    shell.write_text(f"#!{plain}/bin/other\n")
    for path in (program, shell):
        path.chmod(0o755)

    prefix = unpack(pack_environment(plain), tmp_path / "there")
    shutil.rmtree(plain)

    assert run(prefix, "bin/python", "-c", "import sys; print(sys.prefix)") == str(prefix)
    if not _is_debians(prefix):
        assert run(prefix, "bin/greeting") == "hello"
    assert (prefix / "bin" / "by-shell").read_text() == "#!/usr/bin/env other\n"


def _is_debians(prefix: Path) -> bool:
    """Such a one looks in dist-packages instead, unless it is a virtual environment's."""
    return "dist-packages" in run(prefix, "bin/python", "-c", "import site; print(site.__doc__)")


Breaking = Callable[[Path], object]


def _edit(name: str, text: str) -> Breaking:
    def edit(venv: Path) -> None:
        (packages,) = venv.glob("lib/python3*/site-packages")
        (packages / name).parent.mkdir(exist_ok=True)
        (packages / name).write_text(text)

    return edit


@pytest.mark.parametrize(
    ("breaking", "words"),
    [
        (_edit("mine.pth", "/usr\n"), "only points to /usr (by mine.pth)"),
        (_edit("mine.pth", "import site; site.addsitedir('/opt/x')\n"), "only points to /opt/x"),
        (_edit("__editable__.a.pth", "import __editable___a_finder\n"), "an editable package"),
        (_edit("a.egg-link", "/home/me/a\n.\n"), "only points to a in /home/me/a"),
        (
            _edit(
                "a-1.0.dist-info/direct_url.json",
                '{"url": "file:///home/me/a", "dir_info": {"editable": true}}',
            ),
            "only points to a in /home/me/a",
        ),
        (lambda venv: shutil.rmtree(venv / "bin"), "it has no bin/python"),
        (lambda venv: (venv / "bin" / "python").write_text("#!/bin/false\n"), "does not start"),
    ],
)
def test_an_environment_that_would_not_run_elsewhere_is_refused(
    tmp_path: Path, cache: Path, breaking: Breaking, words: str
) -> None:
    venv = make_venv(tmp_path / "venv", options=["--copies"])
    breaking(venv)

    with pytest.raises(PythonEnvironmentError) as caught:
        pack_environment(venv)

    assert words in caught.value.message
    assert str(venv) in caught.value.message
    assert not cache.exists()


def test_an_environment_that_sees_the_systems_packages_is_refused(tmp_path: Path) -> None:
    venv = make_venv(tmp_path / "venv", options=["--system-site-packages"])

    with pytest.raises(PythonEnvironmentError, match="without --system-site-packages"):
        pack_environment(venv)


@pytest.mark.parametrize("prefix", ["/", "/usr", "/usr/local"])
def test_the_systems_python_is_refused_with_advice(prefix: str) -> None:
    with pytest.raises(PythonEnvironmentError, match="Make a virtual environment"):
        pack_environment(prefix)


def test_a_directory_that_is_not_there_is_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(knit.FileMissingError, match="does not exist on this machine"):
        pack_environment(tmp_path / "nothing")


def test_an_output_that_is_no_gzipped_tar_file_is_refused(venv: Path, tmp_path: Path) -> None:
    with pytest.raises(PythonEnvironmentError, match=r"end in \.tar\.gz"):
        pack_environment(venv, tmp_path / "out.zip")
    with pytest.raises(PythonEnvironmentError, match="cannot be written"):
        pack_environment(venv, "/proc/out.tar.gz")


@OWN
def test_an_environment_that_changes_while_it_is_packed_is_packed_anew(tmp_path: Path) -> None:
    """Half of it would be old, half new, and all of it taken for the old."""
    venv = make_venv(tmp_path / "venv")
    site = next((venv / "lib").glob("python3*/site-packages"))

    def change(_: PackingProgress) -> None:
        (site / "new.py").write_text("")

    with pytest.raises(PythonEnvironmentError, match="changed while it was packed"):
        pack_environment(venv, progress=change)
    archive = pack_environment(venv)
    with tarfile.open(archive) as tar:
        assert any(name.endswith("/new.py") for name in tar.getnames())


def test_a_module_that_was_edited_is_noticed_though_its_size_is_the_same(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text("a = 1")
    os.utime(module, ns=(1, 1))
    before = fingerprint([of_file("module.py", module)])
    module.write_text("a = 2")
    os.utime(module, ns=(2, 2))
    assert fingerprint([of_file("module.py", module)]) != before
