"""One suite, three clusters: ``--cluster=embedded`` (the default), ``docker`` or ``external``."""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator, Iterator

import pytest

from integration.clusters import Cluster
from integration.clusters.docker import DockerCluster
from integration.clusters.embedded import EmbeddedCluster, EmbeddedClusterError
from integration.clusters.external import ExternalCluster
from integration.toolchain import ToolchainError

pytest_plugins = ["integration.fixtures"]

_CLUSTER = pytest.StashKey[Cluster]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("knit")
    group.addoption(
        "--cluster",
        choices=["embedded", "docker", "external"],
        default="embedded",
        help="what to run against (embedded); external takes HADOOP_CONF_DIR's cluster",
    )
    group.addoption(
        "--nodes",
        type=int,
        default=2,
        help="number of nodes of the embedded cluster (2)",
    )


def pytest_configure(config: pytest.Config) -> None:
    # A shell starts what runs in its background deaf to Ctrl-C, and children inherit that.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.option.cluster == "docker" and not DockerCluster.is_here():
        from integration.clusters.docker_suite import RunInClient

        config.pluginmanager.register(RunInClient(config))


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """The cluster, up and ready; its logs are kept if a test fails."""
    config, session = request.config, request.session
    if config.option.cluster == "docker":
        with DockerCluster() as docker:
            config.stash[_CLUSTER] = docker
            yield docker
    elif config.option.cluster == "external":
        with ExternalCluster() as external:
            config.stash[_CLUSTER] = external
            yield external
    else:
        say = _say(config)
        embedded = EmbeddedCluster(node_count=config.option.nodes, say=say)
        try:
            embedded.__enter__()
        except (ToolchainError, EmbeddedClusterError) as error:
            pytest.exit(str(error), returncode=pytest.ExitCode.INTERNAL_ERROR)
        try:
            config.stash[_CLUSTER] = embedded
            yield embedded
        finally:
            embedded.close(keep_logs=bool(session.testsfailed))
            if session.testsfailed:
                say(f"The logs of the cluster are in {embedded.directory}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the daemons said last with the first test that fails."""
    report = yield
    running = item.config.stash.get(_CLUSTER, None)
    if report.failed and running is not None and not item.session.testsfailed:
        report.sections.append((f"the {running.name} cluster", running.evidence()))
    return report


def _say(config: pytest.Config) -> Callable[[str], None]:
    """Print at once, although pytest captures."""
    capture = config.pluginmanager.get_plugin("capturemanager")
    assert capture is not None

    def say(line: str) -> None:
        with capture.global_and_fixture_disabled():
            print(line, flush=True)

    return say
