"""
Every check, and every way to try knit, on one page.

``nox`` passes all tests; ``nox -s demo`` shows knit at work; ``nox -t quick`` takes a minute or
two; ``nox -l`` lists the rest.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import nox

ROOT = Path(__file__).parent
sys.path.insert(0, str(ROOT))  # integration/ is a package of this repository, not an installed one

from integration import toolchain  # noqa: E402

# It says at the end what each session took.
nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_venv = "yes"
nox.options.sessions = [
    "proto",
    "builds",
    "am",
    "sdk",
    "oldest",
    "lint",
    "types",
    "integration",
]
# Python versions the machine lacks are skipped, on a build server too.
nox.options.error_on_missing_interpreters = False

PYTHONS = ["3.10", "3.11", "3.12", "3.13", "3.14"]
SDK = ROOT / "sdk-python"
DIST = ROOT / "dist"
GO_CLIENT = ROOT / "integration" / "go-client"
NODE_CLIENT = ROOT / "integration" / "node-client"

BUF = "buf-bin==1.75.0"
RUFF = "ruff==0.17.6"
TYPES = ["mypy==2.4.1", "types-grpcio", "types-protobuf", "types-PyYAML"]
TESTS = ["pytest>=8", "hypothesis>=6.100", "pytest-timeout>=2.3", "pytest-xdist>=3.6"]
EXAMPLES = ["ipyparallel>=9", "distributed>=2025.1"]

toolchain.offer_pyenv_interpreters()


@nox.session(tags=["quick"])
def proto(session: nox.Session) -> None:
    """Lint the contract, and hold it to what main has already promised."""
    session.install(BUF)
    session.run("buf", "lint", "proto")
    session.run("buf", "format", "--diff", "--exit-code", "proto")
    main = next(
        (ref for ref in ("refs/remotes/origin/main", "refs/heads/main") if _has_contract(ref)), None
    )
    if main is None:
        session.warn(
            "There is no main branch with a contract to compare with: buf breaking was left out."
        )
    else:
        session.run("buf", "breaking", "proto", "--against", f".git#ref={main},subdir=proto")


@nox.session(tags=["quick"])
def builds(session: nox.Session) -> None:
    """Hold the Gradle and the Maven build of the jar equal."""
    session.install("pytest>=8", "tomli; python_version < '3.11'")
    session.run("pytest", "-q", "am-kotlin/test_builds.py")


@nox.session(venv_backend="none")
def am(session: nox.Session) -> None:
    """Build, test and lint the Application Master: by Gradle where it is there, else by Maven."""
    _build_jar(session, tests=True)


@nox.session(tags=["quick"])
def wheel(session: nox.Session) -> None:
    """Build the wheel of knit-yarn, the jar inside, into dist/."""
    session.log(f"built {_wheel(session)}")


@nox.session(python=PYTHONS, tags=["quick"])
def sdk(session: nox.Session) -> None:
    """Test the SDK, as installed from its wheel, against fakes over real sockets."""
    _install(session, "[conda]", *TESTS)
    arguments = list(session.posargs)
    if not arguments and session.python not in _oldest_and_newest():
        # They pack whole interpreters, and take as long as all others together.
        arguments = [f"--ignore={SDK / 'tests' / 'environments'}"]
    # Two at once: much of the time passes in waits for fakes that are slow on purpose.
    session.run("pytest", "-n", "2", "--timeout=300", str(SDK / "tests"), *arguments)


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
    # What speaks to these packages; the rest of the tests is about knit itself.
    session.run(
        "pytest",
        "-n",
        "2",
        "--timeout=300",
        *(
            str(SDK / "tests" / each)
            for each in (
                "test_channel.py",
                "test_client.py",
                "test_logs.py",
                "test_spec.py",
                "test_tls.py",
                "test_distribution.py",
                "cluster",
            )
        ),
    )


@nox.session(tags=["quick"])
def lint(session: nox.Session) -> None:
    """Lint and check the format of everything in Python. (ktlint runs with the jar's build.)"""
    session.install(RUFF)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--diff", ".")


@nox.session(tags=["quick"])
def types(session: nox.Session) -> None:
    """Check all types, strictly."""
    _install(session, "[conda]", *TYPES, *TESTS, "pytest-docker", "nox", "hatchling")
    session.run("mypy", "--config-file", str(ROOT / "mypy.ini"))


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
        env={**_go_client(session), **_node_client(session)},
    )


@nox.session
def demo(session: nox.Session) -> None:
    """Run a small Python program in containers on a real YARN on this machine, before your eyes."""
    _install(session, "")
    session.run("python", "-m", "integration.demo", *session.posargs)


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


def _oldest_and_newest() -> tuple[str, str]:
    """Of the Python versions that are here."""
    present = [each for each in PYTHONS if shutil.which(f"python{each}")] or PYTHONS
    return present[0], present[-1]


def _has_contract(ref: str) -> bool:
    return (
        subprocess.run(
            ["git", "cat-file", "-e", f"{ref}:proto/buf.yaml"], cwd=ROOT, capture_output=True
        ).returncode
        == 0
    )


def _build_jar(session: nox.Session, *, tests: bool) -> Path:
    try:
        return toolchain.build_jar(ROOT, tests=tests)
    except toolchain.ToolchainError as error:
        session.error(str(error))


def _install(session: nox.Session, extras: str, *others: str) -> None:
    """Install knit from its wheel, and what else is needed."""
    wheel = _wheel(session)
    session.install(f"{wheel}{extras}", *others)
    # An environment from an earlier run keeps what it has of the same version.
    session.install("--force-reinstall", "--no-deps", str(wheel))


def _wheel(session: nox.Session) -> Path:
    """The wheel of what is checked out; built again only where something in it has changed."""
    sources = [_build_jar(session, tests=False), SDK / "pyproject.toml", SDK / "hatch_build.py"]
    sources += [*(ROOT / "proto").rglob("*.proto"), *SDK.glob("src/knit/**/*.*")]
    newest = max(path.stat().st_mtime for path in sources if not _is_generated(path))
    built = sorted(DIST.glob("knit_yarn-*.whl"), key=lambda path: path.stat().st_mtime)
    if not built or built[-1].stat().st_mtime < newest:
        shutil.rmtree(DIST, ignore_errors=True)
        session.install("build")
        session.run(
            "python", "-m", "build", "--wheel", "--outdir", str(DIST), str(SDK), silent=True
        )
        built = list(DIST.glob("knit_yarn-*.whl"))
    return built[-1]


def _is_generated(path: Path) -> bool:
    """Whether the wheel's own build makes this file."""
    return bool({"v1", "_jar", "__pycache__"} & set(path.parts)) and path.suffix != ".proto"


def _go_client(session: nox.Session) -> dict[str, str]:
    """Build the client in Go, where there is a Go, and tell the suite where it lies."""
    if shutil.which("go") is None:
        session.warn("There is no Go here: the client in another language is left out.")
        return {}
    session.install(BUF)
    # Not the session's own directory for such things: that is within the environment, which some
    # tests ship to containers, and would from then on hold clusters and all else that is temporary.
    program = Path(session.cache_dir).resolve() / "go-client" / "go-client"
    with session.chdir(GO_CLIENT):
        session.run("buf", "generate", "../../proto", "--template", "buf.gen.yaml")
        session.run("go", "build", "-o", str(program), ".", env={"CGO_ENABLED": "0"}, external=True)
    return {"KNIT_GO_CLIENT": str(program)}


def _node_client(session: nox.Session) -> dict[str, str]:
    """Install what the client in JavaScript needs, where there is Node, and tell the suite."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        session.warn("There is no Node here: the client in JavaScript is left out.")
        return {}
    directory = Path(session.cache_dir).resolve() / "node-client"
    directory.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json", "client.mjs"):
        shutil.copy(NODE_CLIENT / name, directory)
    with session.chdir(directory):
        session.run("npm", "ci", "--silent", "--no-audit", "--no-fund", external=True)
    return {"KNIT_NODE_CLIENT": str(directory / "client.mjs")}
