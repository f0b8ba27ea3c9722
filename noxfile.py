"""
Every check, and every way to try knit, on one page.

``nox`` passes all tests, in about forty minutes on two cores; ``nox -t quick`` takes less than
three minutes of that, once it has been run before, and needs no cluster; ``nox -s demo`` shows knit
at work; ``nox -l`` lists the rest. At its end nox says how long each session took.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import nox

ROOT = Path(__file__).parent
sys.path.insert(0, str(ROOT))  # integration/ is a package of this repository, not an installed one

from integration import artifacts, toolchain  # noqa: E402

# It says at the end what each session took.
nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_venv = "yes"
nox.options.sessions = [
    "proto",
    "builds",
    "am",
    "wheel",
    "sdk",
    "oldest",
    "lint",
    "types",
    "integration",
]
# Python versions the machine lacks are skipped, on a build server too.
nox.options.error_on_missing_interpreters = False

SDK = ROOT / "sdk-python"
# Those that the package says it is for.
PYTHONS = nox.project.python_versions(nox.project.load_toml(SDK / "pyproject.toml"))
DIST = ROOT / "dist"
GO_CLIENT = ROOT / "integration" / "go-client"
NODE_CLIENT = ROOT / "integration" / "node-client"
# Four at once on two cores, since much of the time passes in waits for fakes that are slow on
# purpose; by files, so that what tests of one share, such as a packed interpreter, is made once.
PYTEST_SDK = ["pytest", "-n4", "--dist=loadfile", "--no-loadscope-reorder", "--timeout=300"]
# Markers say of the others why one Python is enough for them.
EVERY_PYTHON = ["-m", "not one_python"]
# What the oldest and the newest Python do alike, those between them do as well; but for what has to
# do with Python itself, or with packages that are built for each.
BETWEEN = ["test_*.py", "cli", "environments", "wire"]
# What the build of the wheel makes itself.
GENERATED = artifacts.NOT_SOURCES | {"v1", "_jar"}

# The descriptors of the contract as released: clients that were built from them go on working.
PROMISED = ROOT / "proto" / "promised.binpb"
BUF = "buf-bin==1.75.0"
BUF_FOUND = 100  # buf's exit code where it has found something
RUFF = "ruff==0.17.6"
TYPES = ["mypy==2.4.1", "types-grpcio", "types-protobuf", "types-PyYAML"]
TESTS = [
    "pytest>=8",
    "hypothesis>=6.100",
    "jsonschema>=4.18",
    "pytest-timeout>=2.3",
    "pytest-xdist>=3.6",
]
EXAMPLES = ["ipyparallel>=9", "distributed>=2025.1"]

toolchain.offer_pyenv_interpreters()


@nox.session(tags=["quick"])
def proto(session: nox.Session) -> None:
    """Lint the contract, and hold it to what has been promised of it."""
    session.install(BUF)
    session.run("buf", "lint", "proto")
    session.run("buf", "format", "--diff", "--exit-code", "proto")
    session.run("buf", "breaking", "proto", "--against", str(PROMISED))
    # A comparison that finds nothing in this one would find nothing in any.
    broken = Path(session.create_tmp()) / "broken"
    shutil.rmtree(broken, ignore_errors=True)
    shutil.copytree(ROOT / "proto", broken)
    changed = broken / "knit" / "v1" / "service.proto"
    text = changed.read_text(encoding="utf-8")
    changed.write_text(text.replace("string command = ", "bytes command = "), encoding="utf-8")
    comparison = ("buf", "breaking", str(broken), "--against", str(PROMISED))
    session.run(*comparison, success_codes=[BUF_FOUND], silent=True)


@nox.session
def promise(session: nox.Session) -> None:
    """
    Promise the contract as it is now: what is added is held from then on, too.

    Part of each release. What was promised before stays so: it is compared first.
    """
    session.install(BUF)
    session.run("buf", "breaking", "proto", "--against", str(PROMISED))
    session.run("buf", "build", "proto", "--exclude-source-info", "--output", str(PROMISED))


@nox.session(tags=["quick"])
def builds(session: nox.Session) -> None:
    """Hold the Gradle and the Maven build of the jar equal, and nothing stale for up to date."""
    session.install("pytest>=8", "tomli; python_version < '3.11'")
    tests = ("am-kotlin/test_builds.py", "integration/test_artifacts.py")
    session.run("pytest", "-q", "--noconftest", *tests)


@nox.session(venv_backend="none")
def am(session: nox.Session) -> None:
    """Build, test and lint the Application Master: by Gradle where it is there, else by Maven."""
    _build_jar(session, tests=True)


@nox.session(tags=["quick"])
def wheel(session: nox.Session) -> None:
    """Build the wheel of knit-yarn, the jar inside, into dist/."""
    session.log(f"built {_wheel(session)}")


@nox.session(python=PYTHONS)
def sdk(session: nox.Session) -> None:
    """
    Test the SDK, as installed from its wheel: all on the oldest Python, what can differ on each.

    Code that is newer than it should be fails on the oldest first. On the others what is deprecated
    is an error of the tests that they run.
    """
    oldest, *others = [each for each in PYTHONS if shutil.which(f"python{each}")] or PYTHONS
    if session.python == oldest or session.posargs:
        _test_sdk(session)
    elif session.python in others[:-1]:
        found = [str(path) for each in BETWEEN for path in sorted((SDK / "tests").glob(each))]
        _test_sdk(session, *EVERY_PYTHON, tests=found)
    else:
        _test_sdk(session, *EVERY_PYTHON)


@nox.session(tags=["quick"])
def sdk_quick(session: nox.Session) -> None:
    """Test of the SDK what can differ from one Python to another, on the Python that nox has."""
    _test_sdk(session, *EVERY_PYTHON)


@nox.session(python=PYTHONS[0])
def oldest(session: nox.Session) -> None:
    """Test the SDK on the lowest versions of everything it depends on, to the digit."""
    pyproject = (SDK / "pyproject.toml").read_text(encoding="utf-8")
    block = re.search(r"^dependencies = \[(.*?)^\]", pyproject, re.M | re.S)
    assert block is not None
    pinned = re.findall(r'"([\w.-]+)>=([\w.]+)', block[1])
    assert pinned, "pyproject.toml names dependencies in another way than by NAME>=VERSION"
    wheel = _wheel(session)
    session.install(*(f"{name}=={version}" for name, version in pinned), *TESTS)
    session.install("--force-reinstall", "--no-deps", str(wheel))
    session.run(*PYTEST_SDK, str(SDK / "tests"), *EVERY_PYTHON)


@nox.session(tags=["quick"])
def lint(session: nox.Session) -> None:
    """Lint and check the format of everything in Python. (ktlint runs with the jar's build.)"""
    session.install(RUFF)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--diff", ".")


@nox.session(tags=["quick"])
def types(session: nox.Session) -> None:
    """Check all types, strictly, with what the oldest and the newest Python know."""
    _install(session, "[conda]", *TYPES, *TESTS, "pytest-docker", "nox", "hatchling")
    for version in (PYTHONS[0], PYTHONS[-1]):
        session.run("mypy", "--config-file", str(ROOT / "mypy.ini"), "--python-version", version)


@nox.session
@nox.parametrize("cluster", ["embedded", "docker"])
def integration(session: nox.Session, cluster: str) -> None:
    """
    Run the suite on a real Hadoop; ``-- --cluster=external`` takes HADOOP_CONF_DIR's.

    The dockerized cluster runs the tests that its topology can change; ``-- --whole`` all of them.
    """
    if cluster == "docker" and not toolchain.docker_answers():
        session.skip("no Docker engine answers")
    _install(session, "[conda]", *TESTS, *EXAMPLES, "pytest-docker>=3.1")
    session.run(
        "python",
        "-m",
        "integration",
        f"--cluster={cluster}",
        *session.posargs,
        # No other machine changes what clients in other languages are told.
        env=_clients(session) if cluster == "embedded" or "--whole" in session.posargs else {},
    )


@nox.session
def demo(session: nox.Session) -> None:
    """Run a small program on a real YARN on this machine, before your eyes; ``-- --secure``."""
    _install(session, "")
    session.run("python", "-m", "integration.demo", *session.posargs)


@nox.session
def killing(session: nox.Session) -> None:
    """Kill every daemon in every phase of a run, on a secure cluster with HA: most of an hour."""
    _install(session, "")
    session.run("python", "-m", "integration.killing", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure knit beside skein and YARN's floor; ``-- --cluster=docker`` on three nodes."""
    _install(session, "", "pytest-docker>=3.1")
    session.run("python", "-m", "integration.bench", *session.posargs)


@nox.session(venv_backend="none")
def cluster(session: nox.Session) -> None:
    """Start the embedded cluster, print its HADOOP_CONF_DIR, and take it down on Ctrl-C."""
    session.run(
        sys.executable, "-m", "integration.clusters.embedded", *session.posargs, external=True
    )


def _test_sdk(
    session: nox.Session, *selection: str, tests: Sequence[str] = (str(SDK / "tests"),)
) -> None:
    _install(session, "[conda]", *TESTS)
    session.run(*PYTEST_SDK, *tests, *selection, *session.posargs)


def _build_jar(session: nox.Session, *, tests: bool) -> Path:
    try:
        return toolchain.build_jar(ROOT, tests=tests)
    except toolchain.ToolchainError as error:
        session.error(str(error))


def _install(session: nox.Session, extras: str, *others: str) -> None:
    """Install knit from its wheel, and what else is needed."""
    wheel = _wheel(session)
    session.install(f"{wheel}{extras}", *others)
    if _installed(session) != artifacts.digest_of(wheel):
        # An environment from an earlier run keeps what it has of the same version.
        session.install("--force-reinstall", "--no-deps", str(wheel))
    if _installed(session) != artifacts.digest_of(wheel):
        session.error(f"what is installed in {session.virtualenv.location} is not {wheel}")


def _installed(session: nox.Session) -> str | None:
    """The digest of the wheel that this environment's knit came from, as pip has noted it."""
    packages = Path(session.virtualenv.location).glob("lib/python3*/site-packages")
    for noted in (path for each in packages for path in each.glob("knit_yarn-*/direct_url.json")):
        archive = json.loads(noted.read_text(encoding="utf-8")).get("archive_info", {})
        return str(archive.get("hashes", {}).get("sha256"))
    return None


def _wheel(session: nox.Session) -> Path:
    """The wheel of what lies here; built where there is none yet that is made of just that."""
    jar = _build_jar(session, tests=False)
    names = ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE")
    made_of = " ".join(
        [
            artifacts.fingerprint([jar, ROOT / "proto", *(SDK / name for name in names)]),
            artifacts.fingerprint([SDK / "src"], without=GENERATED),
        ]
    )
    found = sorted(DIST.glob("knit_yarn-*.whl"))
    if len(found) != 1 or not artifacts.is_current(found[0], made_of):
        shutil.rmtree(DIST, ignore_errors=True)
        session.install("build")
        session.run(
            "python", "-m", "build", "--wheel", "--outdir", str(DIST), str(SDK), silent=True
        )
        found = list(DIST.glob("knit_yarn-*.whl"))
        with zipfile.ZipFile(found[0]) as wheel:
            if wheel.read("knit/_jar/knit-am.jar") != jar.read_bytes():
                session.error(f"{found[0]} has another jar in it than {jar}")
        artifacts.note(found[0], made_of)
    return found[0]


def _clients(session: nox.Session) -> dict[str, str]:
    """Build the clients in other languages, where there is what they need, and say where."""
    return {**_go_client(session), **_node_client(session)}


def _go_client(session: nox.Session) -> dict[str, str]:
    """Build the client in Go, where there is a Go, and tell the suite where it lies."""
    if shutil.which("go") is None:
        session.warn("There is no Go here: the client in another language is left out.")
        return {}
    # Not the session's own directory for such things: that is within the environment, which some
    # tests ship to containers, and would from then on hold clusters and all else that is temporary.
    program = Path(session.cache_dir).resolve() / "go-client" / "go-client"
    made_of = f"{BUF} {artifacts.fingerprint([GO_CLIENT, ROOT / 'proto'])}"
    if not artifacts.is_current(program, made_of):
        session.install(BUF)
        shutil.rmtree(GO_CLIENT / "gen", ignore_errors=True)
        build = ("go", "build", "-o", str(program), ".")
        with session.chdir(GO_CLIENT):
            session.run("buf", "generate", "../../proto", "--template", "buf.gen.yaml")
            session.run(*build, env={"CGO_ENABLED": "0"}, external=True)
        artifacts.note(program, made_of)
    return {"KNIT_GO_CLIENT": str(program)}


def _node_client(session: nox.Session) -> dict[str, str]:
    """Build the client in TypeScript, where there is Node, and tell the suite where it lies."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        session.warn("There is no Node here: the client in TypeScript is left out.")
        return {}
    directory = Path(session.cache_dir).resolve() / "node-client"
    made_of = f"{BUF} {artifacts.fingerprint([NODE_CLIENT, ROOT / 'proto'])}"
    if not artifacts.is_current(directory, made_of):
        session.install(BUF)
        shutil.rmtree(directory, ignore_errors=True)
        # What an earlier build by hand has left among the sources stays there.
        left_out = shutil.ignore_patterns("node_modules", "dist", "gen")
        shutil.copytree(NODE_CLIENT, directory, ignore=left_out)
        with session.chdir(directory):
            session.run("npm", "ci", "--silent", "--no-audit", "--no-fund", external=True)
            generate = ("buf", "generate", str(ROOT / "proto"), "--template", "buf.gen.yaml")
            session.run(*generate)
            session.run("npm", "run", "--silent", "build", external=True)
        artifacts.note(directory, made_of)
    return {"KNIT_NODE_CLIENT": str(directory / "dist" / "main.js")}
