"""knit 0.1.1's class: what its documentation says, and what was broken then."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import knit
import knit.core
from knit import HDFSConfigException, Knit, KnitException, WrongStateError, YARNException
from knit.testing import FakeApplicationMaster
from tests.fakes.cluster import FakeCluster


@pytest.fixture(autouse=True)
def _nobodys_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HADOOP_CONF_DIR", "YARN_CONF_DIR", "HADOOP_HOME", "HADOOP_INSTALL"):
        monkeypatch.delenv(name, raising=False)
    jar = tmp_path / "knit-am.jar"
    jar.write_bytes(b"the jar")
    monkeypatch.setattr("knit._submission.submit.JAR", jar)


@pytest.fixture
def k(cluster: FakeCluster) -> Iterator[Knit]:
    with Knit(autodetect=True) as opened:
        yield opened


@pytest.fixture
def fake() -> Iterator[FakeApplicationMaster]:
    spec = knit.ApplicationSpec("demo", {"worker": knit.Service("date", instances=2)})
    with FakeApplicationMaster(spec) as running:
        yield running


def on(k: Knit, fake: FakeApplicationMaster) -> str:
    """Lets it control an application that is played."""
    k._handles[fake.application_id] = fake.application()
    k.app_id = fake.application_id
    return fake.application_id


def end(cluster: FakeCluster, app_id: str, state: str, final_status: str) -> None:
    cluster.resource_manager.change(app_id, state=state, finalStatus=final_status)


def test_its_signatures_are_the_documented_ones() -> None:
    def documented(function: Any) -> list[tuple[str, Any]]:
        parameters = inspect.signature(function).parameters.values()
        return [
            (p.name, p.default)
            for p in parameters
            if p.kind is p.POSITIONAL_OR_KEYWORD and p.name not in ("self", "app_id")
        ]

    assert documented(Knit) == [
        ("nn", "localhost"), ("nn_port", 8020), ("rm", "localhost"), ("rm_port", 8088),
        ("autodetect", False), ("validate", True),
    ]  # fmt: skip
    assert documented(Knit.start) == [
        ("cmd", inspect.Parameter.empty), ("num_containers", 1), ("virtual_cores", 1),
        ("memory", 128), ("env", ""), ("files", ()), ("app_name", "knit"), ("queue", "default"),
    ]  # fmt: skip
    sizes = [("num_containers", 1), ("virtual_cores", 1), ("memory", 128)]
    assert documented(Knit.add_containers) == sizes
    assert documented(Knit.logs) == [("shell", False)]
    assert documented(Knit.kill) == documented(Knit.wait_for_completion) == [("timeout", 10)]
    assert documented(Knit.status) == documented(Knit.runtime_status) == []
    assert documented(Knit.create_env) == [
        ("env_name", inspect.Parameter.empty), ("packages", None), ("conda_root", None),
        ("remove", False),
    ]  # fmt: skip
    assert knit.core.Knit is knit.Knit


class TestAddresses:
    def test_without_a_configuration_the_documented_defaults_hold(self) -> None:
        with Knit() as k:
            assert repr(k) == "Knit<NN=localhost:8020;RM=localhost:8088>"
            assert k.conf.resource_managers == ("http://localhost:8088",)
            assert "http://localhost:9870" in k.conf.name_nodes

    def test_without_a_configuration_what_is_given_holds(self) -> None:
        with Knit("nn.example", "9000", rm="rm.example", rm_port=80) as k:
            assert str(k) == "Knit<NN=nn.example:9000;RM=rm.example:80>"
            assert k.conf.default_fs == "hdfs://nn.example:9000"
            assert k.conf.resource_managers == ("http://rm.example:80",)

    def test_autodetect_takes_the_configuration_and_nothing_else(
        self, cluster: FakeCluster
    ) -> None:
        with Knit("elsewhere", 1, "elsewhere", 2, autodetect=True) as k:
            port = cluster.resource_manager.port
            assert repr(k) == f"Knit<NN=127.0.0.1:8020;RM=127.0.0.1:{port}>"

    def test_autodetect_needs_a_configuration(self) -> None:
        with pytest.raises(knit.ConfigurationNotFoundError, match="HADOOP_CONF_DIR"):
            Knit(autodetect=True)

    def test_what_is_not_given_is_taken_from_the_configuration(self, cluster: FakeCluster) -> None:
        with Knit() as k, Knit(nn="127.0.0.1", rm_port=cluster.resource_manager.port) as partly:
            assert repr(k) == repr(partly)
            assert k.rm_port == cluster.resource_manager.port

    @pytest.mark.parametrize(
        ("given", "there"),
        [
            ({"nn": "foobarbiz"}, "127.0.0.1:8020"),
            ({"nn": "localhost"}, "127.0.0.1:8020"),
            ({"nn": "127.0.0.1", "nn_port": 9000}, "127.0.0.1:8020"),
            ({"rm": "foobarbiz"}, "127.0.0.1:"),
            ({"rm_port": 9090}, "127.0.0.1:"),
        ],
    )
    def test_what_is_given_must_agree_with_the_configuration(
        self, cluster: FakeCluster, given: dict[str, Any], there: str
    ) -> None:
        with pytest.raises(HDFSConfigException, match="validate=False") as failure:
            Knit(**given)
        assert there in str(failure.value)
        assert isinstance(failure.value, KnitException)

    def test_without_validation_what_is_given_wins(self, cluster: FakeCluster) -> None:
        with Knit(nn="other", rm="rm2", rm_port=9090, validate=False) as k:
            assert repr(k) == "Knit<NN=other:8020;RM=rm2:9090>"
            assert k.conf.default_fs == "hdfs://other:8020"
            assert k.conf.resource_managers == ("http://rm2:9090",)
            assert k.conf.name_nodes[0] == "http://other:9870"

    def test_a_member_of_an_ha_pair_agrees_with_it(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        properties = {
            "fs.defaultFS": "hdfs://ns1",
            "dfs.ha.namenodes.ns1": "a,b",
            "dfs.namenode.rpc-address.ns1.a": "nn-a:8020",
            "dfs.namenode.rpc-address.ns1.b": "nn-b:8020",
            "yarn.resourcemanager.ha.enabled": "true",
            "yarn.resourcemanager.ha.rm-ids": "x,y",
            "yarn.resourcemanager.hostname.x": "rm-x",
            "yarn.resourcemanager.hostname.y": "rm-y",
        }
        lines = "".join(
            f"<property><name>{name}</name><value>{value}</value></property>"
            for name, value in properties.items()
        )
        (tmp_path / "core-site.xml").write_text(f"<configuration>{lines}</configuration>")
        monkeypatch.setenv("HADOOP_CONF_DIR", str(tmp_path))
        with Knit(nn="nn-b", nn_port=8020, rm="rm-y", rm_port=8088) as k:
            assert repr(k) == "Knit<NN=ns1:8020;RM=rm-x:8088>"
            assert k.conf.default_fs == "hdfs://ns1"
        with pytest.raises(HDFSConfigException, match=r"rm-x:8088 or rm-y:8088"):
            Knit(rm="rm-z")

    @pytest.mark.parametrize(
        "given", [{"nn_port": "x"}, {"rm_port": 0}, {"rm_port": 99999}, {"nn": ""}, {"rm": "a:1"}]
    )
    def test_what_is_no_address_is_told(self, given: dict[str, Any]) -> None:
        with pytest.raises(HDFSConfigException, match="is not one"):
            Knit(**given)

    def test_properties_may_be_given_beside_them(self, cluster: FakeCluster) -> None:
        with Knit(pars={"knit.webhdfs.url": "http://gateway:14000"}) as k:
            assert k.conf.name_nodes == ("http://gateway:14000",)


class TestStart:
    def test_it_submits_and_returns_the_id(
        self, cluster: FakeCluster, k: Knit, tmp_path: Path
    ) -> None:
        (tmp_path / "a.txt").write_text("a")
        app_id = k.start(
            "cat a.txt",
            num_containers=2,
            virtual_cores=2,
            memory=256,
            files=[str(tmp_path / "a.txt")],
            app_name="name",
            envvars={"A": "1"},
        )
        assert app_id == k.app_id
        assert app_id.startswith("application_")
        submission = cluster.resource_manager.submissions[app_id]
        assert (submission["application-name"], submission["queue"]) == ("name", "default")

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ({"memory": "128"}, "memory"),
            ({"memory": 1.5}, "memory"),
            ({"memory": 0}, "memory"),
            ({"num_containers": 0}, "num_containers"),
            ({"virtual_cores": 0}, "vcores"),
            ({"files": "a,b,c"}, "give a list"),
            ({"files": ["/no/such/file"]}, "does not exist"),
            ({"cmd": "  "}, "empty"),
            ({"envvars": {"A": 1}}, "A"),
            ({"queue": "no-such-queue"}, "no-such-queue"),
            ({"memory": 1 << 20}, "1048576|1 TiB|MiB"),
        ],
    )
    def test_what_cannot_run_is_refused_and_leaves_nothing(
        self, cluster: FakeCluster, k: Knit, arguments: dict[str, Any], said: str
    ) -> None:
        with pytest.raises(KnitException, match=said):
            k.start(**{"cmd": "date", **arguments})
        assert k.app_id is None
        # A queue that is not there is for YARN to refuse, which may make it.
        states = {app["state"] for app in cluster.resource_manager.applications.values()}
        assert states <= {"NEW", "FAILED"}
        assert not cluster.file_system.below("/user/alice/.knit/applications")
        if "queue" not in arguments:
            assert not cluster.file_system.below("/user/alice/.knit/cache")

    def test_a_second_start_is_an_error_while_the_first_lives(
        self, cluster: FakeCluster, k: Knit
    ) -> None:
        first = k.start("sleep 100")
        with pytest.raises(WrongStateError, match=f"{first} was started before and is ACCEPTED"):
            k.start("date")
        end(cluster, first, "FINISHED", "SUCCEEDED")
        assert k.start("date") != first


class TestStatus:
    def test_status_is_what_yarn_says(self, k: Knit) -> None:
        app_id = k.start("date")
        for found in (k.status(), k.status(app_id)):
            assert found["app"]["id"] == app_id
            assert found["app"]["state"] == "ACCEPTED"
            assert found["app"]["finalStatus"] == "UNDEFINED"

    def test_runtime_status_is_one_word(self, cluster: FakeCluster, k: Knit) -> None:
        app_id = k.start("date")
        assert k.runtime_status() == "ACCEPTED"
        end(cluster, app_id, "RUNNING", "UNDEFINED")
        assert k.runtime_status(app_id) == "RUNNING"
        for state, final_status, word in (
            ("FINISHED", "SUCCEEDED", "SUCCEEDED"),
            ("FINISHED", "FAILED", "FAILED"),
            ("KILLED", "KILLED", "KILLED"),
            ("FAILED", "FAILED", "FAILED"),
        ):
            end(cluster, app_id, state, final_status)
            assert k.runtime_status() == word

    @pytest.mark.parametrize("ask", [Knit.status, Knit.runtime_status, Knit.logs, Knit.kill])
    def test_an_unknown_application_is_told(self, k: Knit, ask: Any) -> None:
        for app_id in ("application_1700000000000_4242", "triceratops"):
            with pytest.raises(YARNException, match=app_id):
                ask(k, app_id)

    @pytest.mark.parametrize("name", ["status", "logs", "kill", "wait_for_completion"])
    def test_before_a_start_there_is_nothing_to_ask(self, k: Knit, name: str) -> None:
        with pytest.raises(KnitException, match="Nothing was started yet"):
            getattr(k, name)()


class TestEnd:
    @pytest.mark.parametrize(
        ("state", "final_status", "succeeded"),
        [
            ("FINISHED", "SUCCEEDED", True),
            ("FINISHED", "FAILED", False),
            ("FAILED", "FAILED", False),
            ("KILLED", "KILLED", False),
        ],
    )
    def test_waiting_ends_with_the_application_however_it_ends(
        self, cluster: FakeCluster, k: Knit, state: str, final_status: str, succeeded: bool
    ) -> None:
        app_id = k.start("date")
        end(cluster, app_id, state, final_status)
        assert k.wait_for_completion(timeout=60) is succeeded
        assert k.wait_for_completion(app_id) is succeeded

    def test_waiting_ends_when_the_time_is_up(self, k: Knit) -> None:
        k.start("sleep 100")
        assert k.wait_for_completion(0.2) is False
        with pytest.raises(KnitException, match="seconds"):
            k.wait_for_completion(timeout=-1)

    def test_kill_waits_until_yarn_says_killed(self, cluster: FakeCluster, k: Knit) -> None:
        app_id = k.start("sleep 100")
        assert k.kill(app_id) is True
        assert k.status()["app"]["state"] == "KILLED"

    def test_kill_gives_up_when_the_time_is_up(self, cluster: FakeCluster, k: Knit) -> None:
        cluster.resource_manager.stays_after_kill = True
        k.start("sleep 100")
        assert k.kill(timeout=0.2) is False
        assert k.kill(0.2) is False

    def test_there_is_nothing_to_kill_after_the_end(self, cluster: FakeCluster, k: Knit) -> None:
        app_id = k.start("date")
        end(cluster, app_id, "FINISHED", "SUCCEEDED")
        assert k.kill() is False


class TestContainers:
    def test_they_are_added_listed_and_removed(self, k: Knit, fake: FakeApplicationMaster) -> None:
        app_id = on(k, fake)
        k.add_containers(1, 2, 512)
        added = fake.grant("worker", 2)
        assert (added.resources.memory_mib, added.resources.vcores) == (512, 2)
        assert len(k.get_containers()) == len(k.get_containers(app_id)) == 3
        assert set(k.get_container_statuses().values()) == {"RUNNING"}
        assert added.container_id is not None
        k.remove_containers(added.container_id)
        assert k.get_container_statuses()[added.container_id] in ("STOPPING", "STOPPED")
        with pytest.raises(KnitException, match="never held"):
            k.remove_containers("container_1_1_1_1")

    def test_logs_are_text_from_every_container(
        self, k: Knit, fake: FakeApplicationMaster, capsys: pytest.CaptureFixture[str]
    ) -> None:
        app_id = on(k, fake)
        first, second = fake.containers()
        fake.write(first.container_id, "grüße <b>\n".encode())
        fake.write(second.container_id, b"bad \xff\n", file="stderr")
        for logs in (k.logs(), k.logs(app_id), k.logs(shell=False)):
            assert logs == {
                first.container_id: {
                    "nodeId": first.node_id,
                    "stdout": "grüße <b>\n",
                    "stderr": "",
                },
                second.container_id: {
                    "nodeId": second.node_id,
                    "stdout": "",
                    "stderr": "bad \N{REPLACEMENT CHARACTER}\n",
                },
            }
        k.print_logs()
        assert "grüße <b>" in capsys.readouterr().out


def test_create_env_is_the_one_of_the_typed_api(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[tuple[Any, ...]] = []

    def create_env(name: str, packages: list[str] | None, **options: Any) -> Path:
        asked.append((name, packages, options))
        return tmp_path / "dev.tar.gz"

    monkeypatch.setattr("knit._environments.create_env", create_env)
    made = Knit.create_env("dev", ["python=3", "pandas"], "/opt/conda", True, channels=["mine"])
    assert made == str(tmp_path / "dev.tar.gz")
    options = {"channels": ["mine"], "conda_root": "/opt/conda", "remove": True}
    assert asked == [("dev", ["python=3", "pandas"], options)]
    monkeypatch.undo()
    for packages in ("numpy", 5):
        with pytest.raises(TypeError):
            Knit.create_env("dev", packages)  # type: ignore[arg-type]
