"""One suite, three clusters: ``--cluster=embedded`` (the default), ``docker`` or ``external``."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any

import pytest

from integration.clusters import Cluster
from integration.clusters.docker import DockerCluster
from integration.clusters.embedded import EmbeddedCluster, EmbeddedClusterError
from integration.clusters.external import ExternalCluster
from integration.clusters.shared import ClusterAddress, SharedCluster
from integration.kinds import KINDS
from integration.toolchain import ToolchainError

pytest_plugins = ["integration.fixtures", "integration.parts"]

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
        help="number of nodes of the embedded cluster, by default as many as its kind has",
    )
    group.addoption(
        "--client-workers",
        type=int,
        default=0,
        help="with --cluster=docker: run by so many workers within the cluster's client",
    )


def pytest_configure(config: pytest.Config) -> None:
    # A shell starts what runs in its background deaf to Ctrl-C, and children inherit that.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.option.cluster == "docker" and not DockerCluster.is_here():
        from integration.clusters.docker_suite import RunInClient

        config.pluginmanager.register(RunInClient(config))
    elif config.option.cluster == "embedded" and _controls_workers(config):
        config.pluginmanager.register(ClusterOfWorkers(config))


def _controls_workers(config: pytest.Config) -> bool:
    """Whether this is the process that hands the tests to xdist's workers."""
    return getattr(config.option, "dist", "no") != "no" and not config.option.collectonly


class ClusterOfWorkers:
    """On the controller of several workers: one embedded cluster for all of them."""

    _ADDRESS = "knit_cluster"

    def __init__(self, config: pytest.Config) -> None:
        self._cluster = _cluster_of(config)
        self._stack = contextlib.ExitStack()
        config.add_cleanup(self._stack.close)

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Start it; xdist, whose hook comes last, starts the workers then."""
        self._stack.enter_context(_embedded(session, self._cluster))

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker before it starts where the cluster is."""
        node.workerinput[self._ADDRESS] = self._cluster.address.to_plain()

    @classmethod
    def seen_by_worker(cls, config: pytest.Config) -> SharedCluster | None:
        """The controller's cluster; None where this process is no worker of such a one."""
        told: Mapping[str, Any] = getattr(config, "workerinput", {})
        if cls._ADDRESS not in told:
            return None
        return SharedCluster(ClusterAddress(**told[cls._ADDRESS]), worker=told["workerid"])


def _cluster_of(config: pytest.Config) -> EmbeddedCluster:
    return KINDS[config.option.kind].cluster(config.option.nodes, _say(config))


@contextlib.contextmanager
def _embedded(session: pytest.Session, cluster: EmbeddedCluster) -> Iterator[EmbeddedCluster]:
    """An embedded cluster, whose logs are kept if a test fails."""
    try:
        cluster.__enter__()
    except (ToolchainError, EmbeddedClusterError) as error:
        pytest.exit(str(error), returncode=pytest.ExitCode.INTERNAL_ERROR)
    try:
        yield cluster
    finally:
        cluster.close(keep_logs=bool(session.testsfailed))
        if session.testsfailed:
            _say(session.config)(f"The logs of the cluster are in {cluster.directory}")


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """The cluster, up and ready; its logs are kept if a test fails."""
    config, session = request.config, request.session
    started: contextlib.AbstractContextManager[Cluster]
    if config.option.cluster == "docker":
        started = DockerCluster()
    elif config.option.cluster == "external":
        started = ExternalCluster()
    elif (shared := ClusterOfWorkers.seen_by_worker(config)) is not None:
        started = shared
    else:
        started = _embedded(session, _cluster_of(config))
    with started as running:
        config.stash[_CLUSTER] = running
        yield running


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
