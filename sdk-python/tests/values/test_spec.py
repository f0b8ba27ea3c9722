"""Specifications: what is refused, and that nothing is lost on the way."""

from __future__ import annotations

import copy
import os
import pickle
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from knit import (
    ApplicationSpec,
    DuplicateFileError,
    FailurePolicy,
    File,
    FileMissingError,
    Resources,
    Service,
    SpecError,
    Visibility,
)
from knit._submission.local_checks import check_file, check_local
from knit.v1 import application_pb2, service_pb2
from tests.values.strategies import SERVICES, SPECS, as_they_lie


@settings(max_examples=30)
@given(SPECS)
def test_a_specification_survives_plain_data(spec: ApplicationSpec) -> None:
    assert ApplicationSpec.from_dict(spec.to_dict()) == spec


@settings(max_examples=30)
@given(spec=SPECS)
def test_a_specification_survives_yaml(
    tmp_path_factory: pytest.TempPathFactory, spec: ApplicationSpec
) -> None:
    path = tmp_path_factory.getbasetemp() / "spec.yaml"
    path.write_text(spec.to_yaml(), encoding="utf-8")
    assert ApplicationSpec.from_yaml(path) == spec


@settings(max_examples=30)
@given(spec=SPECS)
def test_a_specification_survives_json(
    tmp_path_factory: pytest.TempPathFactory, spec: ApplicationSpec
) -> None:
    path = tmp_path_factory.getbasetemp() / "spec.json"
    path.write_text(spec.to_json(), encoding="utf-8")
    assert ApplicationSpec.from_file(path) == spec


@pytest.mark.parametrize(
    "text", ["a\x85b", "\u2028", "a\r\n", " \n x", "'\"", "- a: b", "yes", "\ufeff"]
)
def test_text_that_yaml_would_change_is_kept(tmp_path: Path, text: str) -> None:
    spec = ApplicationSpec("a", {"b": Service("c", environment={"D": text})})
    path = tmp_path / "spec.yaml"
    path.write_text(spec.to_yaml(), encoding="utf-8")
    assert ApplicationSpec.from_yaml(path) == spec


@settings(max_examples=60)
@given(SERVICES)
def test_a_service_survives_the_contract(service: Service) -> None:
    """Where files lie changes at submission; everything else is as it was."""
    message = service_pb2.ServiceSpec.FromString(
        service._to_proto(as_they_lie(service)).SerializeToString()
    )
    assert Service._from_proto(message) == service


def test_a_specification_can_be_copied_and_pickled() -> None:
    spec = ApplicationSpec("a", {"b": Service("c", environment={"D": "e"}, files=["f"])})
    assert pickle.loads(pickle.dumps(spec)) == spec
    assert copy.deepcopy(spec) == spec


def test_defaults_are_those_of_the_contract() -> None:
    service = Service("true")
    assert (service.instances, service.max_restarts, service.max_replacements) == (1, 0, 3)
    assert service.resources == Resources("512 MiB", 1)
    unsaid = Service._from_proto(service_pb2.ServiceSpec(command="true", instances=1))
    assert unsaid.max_replacements == 3
    assert unsaid.failure_policy is FailurePolicy.FAIL_APPLICATION


def test_values_newer_than_this_sdk_are_read() -> None:
    assert FailurePolicy(77) is FailurePolicy.UNKNOWN
    assert Visibility(77) is Visibility.UNKNOWN
    assert f"{FailurePolicy.FINISH_OTHERS:>14}" == " FINISH_OTHERS"
    with pytest.raises(ValueError, match="misspelt"):
        FailurePolicy("misspelt")  # type: ignore[arg-type]


def test_an_environment_in_yaml_lies_beside_the_file(tmp_path: Path) -> None:
    for said, meant in [
        ("env", str(tmp_path / "env")),
        ("/env.tar.gz", "/env.tar.gz"),
        ("running", "running"),
        ("hdfs://nn/env.zip", "hdfs://nn/env.zip"),
        ("null", None),
    ]:
        path = tmp_path / "spec.yaml"
        path.write_text(
            f"name: a\nservices:\n  b:\n    command: c\n    python_environment: {said}\n"
        )
        spec = ApplicationSpec.from_yaml(path)
        assert spec.services["b"].python_environment == meant
    assert "python_environment" not in spec.to_yaml()


def test_a_path_is_never_taken_for_the_running_environment() -> None:
    assert Service("a", python_environment=Path("running")).python_environment == "./running"
    assert Service("a", python_environment="running").python_environment == "running"


REFUSED: list[tuple[str, Callable[[], object]]] = [
    ("command is empty", lambda: Service("  \n")),
    ("null byte", lambda: Service("a\0b")),
    ("Unicode", lambda: Service("\ud800")),
    ("give text", lambda: Service(3)),  # type: ignore[arg-type]
    ("instances is -1", lambda: Service("a", instances=-1)),
    ("instances is True", lambda: Service("a", instances=True)),
    ("max_restarts is -1", lambda: Service("a", max_restarts=-1)),
    ("resources is '1 GiB'", lambda: Service("a", resources="1 GiB")),  # type: ignore[arg-type]
    ("failure_policy", lambda: Service("a", failure_policy="x")),  # type: ignore[arg-type]
    ("'A-B' has no valid name", lambda: Service("a", environment={"A-B": ""})),
    ("A is given as int", lambda: Service("a", environment={"A": 1})),  # type: ignore[dict-item]
    ("KNIT_RANK is set by knit", lambda: Service("a", environment={"KNIT_RANK": "1"})),
    ("command is 131,072 bytes", lambda: Service("a" * 131_072)),
    ("variable A is 131,072 bytes", lambda: Service("a", environment={"A": "é" * 65_535})),
    (
        "1,048,577 bytes long",
        lambda: Service("a" * 9, environment={f"A{n}": "b" * 131_068 for n in range(8)}),
    ),
    ("files is 'a.txt'", lambda: Service("a", files="a.txt")),
    ("'a/b' is not one", lambda: Service("a", files={"a/b": "c"})),
    ("YARN's own", lambda: Service("a", files=["launch_container.sh"])),
    ("does not leave as it is", lambda: Service("a", files=["b/$HOME.txt"])),
    ("does not leave as it is", lambda: Service("a", files={'say "hello"': "b"})),
    ("holds a colon.*PATH#NAME", lambda: Service("a", files=["file:x"])),
    ("has 256 bytes", lambda: Service("a", files=["é" * 128])),
    (
        "not valid Unicode.*PATH#NAME",
        lambda: Service("a", files=["bad\udcff"]),
    ),
    ("'tmp' is YARN's own", lambda: Service("a", files=["tmp"])),
    ("ends in none of", lambda: File("a.7z", archive=True)),
    ("cannot be PUBLIC", lambda: File("a", visibility=Visibility.PUBLIC)),
    ("neither a path", lambda: File(3)),  # type: ignore[arg-type]
    ("is empty", lambda: File("")),
    ("give a path or a URL", lambda: Service("a", python_environment=3)),  # type: ignore[arg-type]
    ("is no path", lambda: Service("a", python_environment="")),
    ("knows how to unpack", lambda: Service("a", python_environment="hdfs:///env.7z")),
    (
        "Python environment's name",
        lambda: Service("a", python_environment="/env", files=["x/PYTHON_DIR"]),
    ),
    ("no service", lambda: ApplicationSpec("a", {})),
    ("'A_' is not one", lambda: ApplicationSpec("a", {"A_": Service("c")})),
    ("give a knit.Service", lambda: ApplicationSpec("a", {"b": "c"})),  # type: ignore[dict-item]
    ("name is empty", lambda: ApplicationSpec("", {"b": Service("c")})),
    ("queue is empty", lambda: ApplicationSpec("a", {"b": Service("c")}, queue="")),
    ("tags is the text", lambda: ApplicationSpec("a", {"b": Service("c")}, tags="d")),
    ("'d e' is not one", lambda: ApplicationSpec("a", {"b": Service("c")}, tags=["d e"])),
    ("max_attempts is 0", lambda: ApplicationSpec("a", {"b": Service("c")}, max_attempts=0)),
    ("first and the last", lambda: ApplicationSpec("a", {"b": Service("c")}, master_ports="1-2-3")),
    ("last is not before", lambda: ApplicationSpec("a", {"b": Service("c")}, master_ports=(2, 1))),
    ("1 to 65535", lambda: ApplicationSpec("a", {"b": Service("c")}, master_ports="65536")),
    (
        "5 minutes",
        lambda: ApplicationSpec("a", {"b": Service("c")}, linger=timedelta(minutes=5, seconds=1)),
    ),
]


@pytest.mark.parametrize(("sentence", "make"), REFUSED, ids=[sentence for sentence, _ in REFUSED])
def test_what_can_run_nowhere_is_refused(sentence: str, make: Callable[[], object]) -> None:
    with pytest.raises(SpecError, match=sentence):
        make()


def test_a_refusal_shows_no_secret() -> None:
    with pytest.raises(SpecError) as caught:
        Service("a", environment={"TOKEN": b"hunter2"})  # type: ignore[dict-item]
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(Service("a", environment={"TOKEN": "hunter2"}))


def test_a_specification_too_large_for_a_submission_is_refused() -> None:
    services = {f"s{n}": Service("a" * 120_000) for n in range(18)}
    with pytest.raises(SpecError, match="more than the 2,097,152"):
        ApplicationSpec("a", services)._to_proto({})


def test_two_files_of_one_name_are_refused() -> None:
    with pytest.raises(DuplicateFileError, match=r"x/a\.txt and y/a\.txt"):
        Service("a", files=["x/a.txt", "y/a.txt"])
    assert len(Service("a", files=["x/a.txt", File("y/a.txt", "b.txt")]).files) == 2


@pytest.mark.parametrize(
    ("source", "archive", "name"),
    [
        ("a/b.txt", False, "b.txt"),
        ("env.tar.gz", True, "env"),
        ("env.tar.gz", False, "env.tar.gz"),
        ("hdfs://cluster/a/my%20env.ZIP", True, "my env"),
        ("file:///a/b%20c", False, "b c"),
    ],
)
def test_a_file_is_named_after_its_source(source: str, archive: bool, name: str) -> None:
    assert File(source, archive=archive).name == name


def test_a_source_is_a_path_or_a_url() -> None:
    assert File("a/b").local_path == Path("a/b")
    assert File(Path("a/b")).source == "a/b"
    assert File("file:///a/b%20c").local_path == Path("/a/b c")
    assert File("hdfs://cluster/a").local_path is None
    assert File("s3a://bucket/a").local_path is None


def test_missing_files_are_found_before_anything_is_submitted(tmp_path: Path) -> None:
    def spec(source: Path) -> ApplicationSpec:
        return ApplicationSpec("a", {"w": Service("c", files=[source])})

    (tmp_path / "there").touch()
    check_local(spec(tmp_path / "there"))
    with pytest.raises(FileMissingError, match=r"services\.w\.files: .*does not exist"):
        check_local(spec(tmp_path / "gone"))
    check_local(spec(tmp_path))  # a directory is packed
    (tmp_path / "no.zip").mkdir()
    with pytest.raises(SpecError, match="is a directory, and no archive"):
        check_file(File(tmp_path / "no.zip", archive=True))
    with pytest.raises(SpecError, match="neither a file nor a directory"):
        check_file(File("/dev/null"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may look everywhere")
def test_a_path_that_must_not_be_looked_at_is_told(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed").chmod(0)
    with pytest.raises(SpecError, match=r"closed/data.csv cannot be looked at \(Permission denied"):
        check_file(File(tmp_path / "closed" / "data.csv"))


def test_a_path_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(SpecError, match=r"loop cannot be looked at \(Too many levels"):
        check_file(File(tmp_path / "loop"))
    with pytest.raises(SpecError, match="cannot be looked at"):
        check_file(File("/" + "x" * 300, "name"))
    with pytest.raises(FileMissingError, match="~nobody-of-this-name/env does not exist"):
        check_file(File("~nobody-of-this-name/env"))


def test_a_name_that_begins_with_a_tilde_and_is_here_is_that_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "~report.xlsx").touch()
    check_file(File("~report.xlsx"))
    assert File("~/x").local_path == Path.home() / "x"


def test_the_limits_of_a_launch_are_exact() -> None:
    Service("a" * 131_071, environment={"A": "b" * 131_069})
    File("a", "é" * 127 + "x")


@pytest.mark.parametrize(
    "given", ["50100-50200", " 50100 - 50200 ", (50100, 50200), [50100, 50200]]
)
def test_ports_are_written_in_several_ways(given: Any) -> None:
    spec = ApplicationSpec("a", {"b": Service("c")}, master_ports=given)
    assert spec.master_ports == (50100, 50200)
    message = spec._to_proto({})
    assert (message.master_ports.first, message.master_ports.last) == (50100, 50200)
    assert spec.to_dict()["master_ports"] == "50100-50200"


def test_ports_may_be_set_once_for_a_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = ApplicationSpec("a", {"b": Service("c")})
    assert not spec._to_proto({}).HasField("master_ports")
    monkeypatch.setenv("KNIT_MASTER_PORTS", "7000")
    assert spec._to_proto({}).master_ports == application_pb2.PortRange(first=7000, last=7000)
    own = ApplicationSpec("a", {"b": Service("c")}, master_ports=8000)
    assert own._to_proto({}).master_ports.first == 8000
    monkeypatch.setenv("KNIT_MASTER_PORTS", "many")
    with pytest.raises(SpecError, match="KNIT_MASTER_PORTS is 'many'"):
        check_local(spec)


def test_what_an_application_master_accepted_is_read() -> None:
    """Another client may have submitted what this one would refuse, and it runs."""
    message = service_pb2.ServiceSpec(
        command="",
        instances=-1,
        environment={"spark.home": "x"},
        local_resources={
            "a:b": service_pb2.LocalResource(
                url="hdfs:///a", type=service_pb2.LOCAL_RESOURCE_TYPE_ARCHIVE
            )
        },
    )
    service = Service._from_proto(message)
    assert (service.command, service.instances) == ("", -1)
    assert service.environment == {"spark.home": "x"}
    assert service.files["a:b"].archive
    assert pickle.loads(pickle.dumps(service)) == service


def test_files_that_travelled_as_one_are_read_as_many() -> None:
    message = service_pb2.ServiceSpec(
        command="a",
        local_resources={
            ".packed": service_pb2.LocalResource(
                url="hdfs:///a.tar.gz",
                type=service_pb2.LOCAL_RESOURCE_TYPE_ARCHIVE,
                member_names=["x", "y"],
            )
        },
    )
    files = Service._from_proto(message).files
    assert sorted(files) == ["x", "y"]
    assert not files["x"].archive


def data(**changes: Any) -> dict[str, Any]:
    return {"name": "demo", "services": {"w": {"command": "c", **changes}}}


@pytest.mark.parametrize(
    ("sentence", "document"),
    [
        ("'quue' is not known here: did you mean 'queue'", {**data(), "quue": "a"}),
        ("services.w: 'comand' is not known here: did you mean 'command'", data(comand="a")),
        ("services.w.resources: 'cpus' is not known", data(resources={"cpus": 1})),
        ("services.w.command: this is missing", {"name": "a", "services": {"w": {}}}),
        ("services.w.instances: '3' is not a whole number", data(instances="3")),
        ("services.w.resources.memory: The memory 'lots'", data(resources={"memory": "lots"})),
        ("services.w.failure_policy: 'no' is none of", data(failure_policy="no")),
        (
            "services.w.files\\[0\\]: 'archiv' is not known",
            data(files=[{"source": "a", "archiv": True}]),
        ),
        ("services.w.files: 3 is neither", data(files=3)),
        ("services: here is a list; a mapping", {"name": "a", "services": ["w"]}),
        ("services.w: here is 'c'", {"name": "a", "services": {"w": "c"}}),
        ("linger: 'soon' is no duration", {**data(), "linger": "soon"}),
        ("here is a list", []),
    ],
)
def test_a_mistake_in_a_document_is_told_with_its_place(sentence: str, document: Any) -> None:
    with pytest.raises(SpecError, match=sentence):
        ApplicationSpec.from_dict(document)


def test_a_document_may_be_short(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(
        """
        name: demo
        linger: 1 min
        services:
          worker:
            command: python3 worker.py
            resources: {memory: 1.5 GiB, vcores: 2}
            files:
              - worker.py
              - {source: env.tar.gz, archive: true}
            failure_policy: finish-others
          other:
            command: |
              echo "$HOME"
            files:
              data: /abs/data.csv
              table: hdfs://cluster/table
        """
    )
    spec = ApplicationSpec.from_yaml(path)
    worker, other = spec.services["worker"], spec.services["other"]
    assert worker.resources == Resources(1536, 2)
    assert worker.files["worker.py"].local_path == tmp_path / "worker.py"
    assert worker.files["env"] == File(str(tmp_path / "env.tar.gz"), archive=True)
    assert worker.failure_policy is FailurePolicy.FINISH_OTHERS
    assert other.command == 'echo "$HOME"\n'
    assert other.files["data"].source == "/abs/data.csv"
    assert other.files["table"].source == "hdfs://cluster/table"
    assert spec.linger == timedelta(minutes=1)


@pytest.mark.parametrize(
    ("sentence", "text"),
    [
        ("the key 'a.txt' is given twice", "x: {a.txt: b, a.txt: c}"),
        ("not valid YAML", "a: [b"),
        ("a mapping of names", "- a"),
    ],
)
def test_a_file_that_is_no_specification_is_refused(
    tmp_path: Path, sentence: str, text: str
) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(text)
    with pytest.raises(SpecError, match=sentence):
        ApplicationSpec.from_yaml(path)


def test_a_missing_specification_is_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileMissingError):
        ApplicationSpec.from_yaml(tmp_path / "spec.yaml")
