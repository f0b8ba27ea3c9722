"""What a service and an application may say beyond the usual, and how a mistake is told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings

from knit import (
    AccessControl,
    AllocationPolicy,
    ApplicationSpec,
    AttemptPolicy,
    BackOff,
    ClientGrant,
    DependencyCondition,
    Driver,
    DuplicateFileError,
    ExitReason,
    File,
    FileMissingError,
    HttpCheck,
    LogLevel,
    Placement,
    Probe,
    Readiness,
    Resources,
    RestartBudget,
    RestartScope,
    Role,
    Service,
    SpecError,
    UpdatePolicy,
)
from knit._values.restarts import PROGRAM_FAILED, TAKEN_AWAY
from knit._wire.tls import ApplicationTls
from knit.v1 import application_pb2, service_pb2
from tests.values.strategies import SPECS, as_they_lie

EXITED = ExitReason.EXITED
HOUR = timedelta(hours=1)


def spec(**changes: Any) -> ApplicationSpec:
    return ApplicationSpec("a", {"w": Service("c")}, **changes)


def depending(**depends: Any) -> ApplicationSpec:
    return ApplicationSpec("a", {n: Service("c", depends=d) for n, d in depends.items()})


REFUSED: list[tuple[str, Callable[[], object]]] = [
    # Dependencies.
    (
        r"^services\.w\.depends\[0\]: there is no service 'stor': did you mean 'store'\?$",
        lambda: depending(w=["stor"], store=[]),
    ),
    (
        r"services\.w\.depends\[1\]: there is no service 'z': name one of this application",
        lambda: depending(w=["a", "z"], a=[]),
    ),
    (
        r"services\.w\.depends\.z: there is no service",
        lambda: depending(w={"z": DependencyCondition.STARTED}),
    ),
    (r"services\.w\.depends\[0\]: .* in a circle, w → w: none", lambda: depending(w=["w"])),
    (
        r"services\.b\.depends\[0\]: .* in a circle, b → c → d → b",
        lambda: depending(a=["b"], b=["c"], c=["d"], d=["b"]),
    ),
    ("depends is 'w': give a list", lambda: Service("c", depends="w")),
    (r"depends\[0\]: 3 is no name", lambda: Service("c", depends=[3])),
    (
        "depends.x: 'ready' is none: give a knit.DependencyCondition",
        lambda: Service("c", depends={"x": "ready"}),
    ),
    # Budgets.
    (
        "restart_budgets is given beside max_restarts",
        lambda: Service("c", max_restarts=1, restart_budgets=[RestartBudget(1, [EXITED])]),
    ),
    (
        r"restart_budgets\[1\].reasons: exited is charged to .* restart_budgets\[0\]",
        lambda: Service("c", restart_budgets=[RestartBudget(n, [EXITED]) for n in (1, 2)]),
    ),
    (
        "restart_budgets has 17 entries: give 16 at most",
        lambda: Service("c", restart_budgets=[RestartBudget(1, [EXITED])] * 17),
    ),
    (r"restart_budgets\[0\]: 3 is none", lambda: Service("c", restart_budgets=[3])),  # type: ignore[list-item]
    ("limit is -1", lambda: RestartBudget(-1, [EXITED])),
    ("reasons is empty", lambda: RestartBudget(1, [])),
    (
        r"reasons\[1\]: stopped is no failure that can be made good: give some of exited",
        lambda: RestartBudget(1, [EXITED, ExitReason.STOPPED]),
    ),
    (
        "limit is 1001, and with a window it may be 1,000",
        lambda: RestartBudget(1_001, [EXITED], window=HOUR),
    ),
    ("window is 0.5 s: give a timedelta", lambda: RestartBudget(1, [EXITED], window=HOUR / 7200)),
    ("scope is 3", lambda: RestartBudget(1, [EXITED], scope=3)),  # type: ignore[arg-type]
    ("scope is .*UNKNOWN", lambda: RestartBudget(1, [EXITED], scope=RestartScope.UNKNOWN)),
    ("factor is 0.5: give a number, 1 to 100", lambda: BackOff(factor=0.5)),
    ("factor is nan", lambda: BackOff(factor=float("nan"))),
    ("first is 3600 s, longer than the longest", lambda: BackOff(first=HOUR)),
    # Places.
    ("node_label is given beside", lambda: Placement(node_label="a", nodes=["b"])),
    ("strict is given without nodes", lambda: Placement(strict=True)),
    ("node_label is 'a&&b': give the name of one label", lambda: Placement(node_label="a&&b")),
    (r"nodes\[0\]: 'a:45454' is no name of a node: give", lambda: Placement(nodes=["a:45454"])),
    (r"racks\[0\]: 'r' is no name of a rack: one looks like /rack", lambda: Placement(racks=["r"])),
    ("nodes has 51 entries: give 50", lambda: Placement(nodes=[f"n{n}" for n in range(51)])),
    ("nodes is 'a': give a list", lambda: Placement(nodes="a")),
    # Readiness, updates, limits.
    ("0 of tcp_port, http and command", lambda: Probe()),
    ("2 of tcp_port, http and command", lambda: Probe(tcp_port=1, command="x")),
    ("tcp_port is 65536", lambda: Probe(tcp_port=65536)),
    ("path is 'x': give a path that begins with /", lambda: HttpCheck(1, "x")),
    ("reported and probe are both", lambda: Readiness(reported=True, probe=Probe(tcp_port=1))),
    ("reported is 1: give True or False", lambda: Readiness(reported=1)),  # type: ignore[arg-type]
    ("both 0, so that nothing could ever change", lambda: UpdatePolicy(max_surge=0)),
    (
        "stop_grace is 3601 s: give a timedelta between",
        lambda: Service("c", stop_grace=timedelta(seconds=3601)),
    ),
    ("allocation_limit is 0 s", lambda: Service("c", allocation_limit=timedelta())),
    (
        "allocation_policy is go_on, and there is no limit",
        lambda: Service("c", allocation_policy=AllocationPolicy.GO_ON),
    ),
    ("instances is 100001: give a whole number, 0 to", lambda: Service("c", instances=100_001)),
    # Resources.
    ("others has 'vcores': give that as vcores", lambda: Resources(others={"vcores": 1})),
    ("others has 'a b', which is no name", lambda: Resources(others={"a b": 1})),
    ("others.x: 0 is no amount", lambda: Resources(others={"x": 0})),
    ("others has 33 entries", lambda: Resources(others={f"x{n}": 1 for n in range(33)})),
    # The application.
    (
        "services: They begin with 100,002 containers together",
        lambda: ApplicationSpec("a", {n: Service("c", instances=50_001) for n in "bc"}),
    ),
    (
        "There are 1,001 services: give 1,000 at most",
        lambda: ApplicationSpec("a", {f"s{n}": Service("c") for n in range(1_001)}),
    ),
    ("There is no service: .* or a driver", lambda: ApplicationSpec("a")),
    ("priority is -1", lambda: spec(priority=-1)),
    ("tags has 11 entries, and YARN takes 10", lambda: spec(tags=[f"t{n}" for n in range(11)])),
    ("type is 'two words': give 1 to 20", lambda: spec(type="two words")),
    ("type is 'xxxxxxxxxxxxxxxxxxxxx'", lambda: spec(type="x" * 21)),
    ("user is 'a b'", lambda: spec(user="a b")),
    ("lifetime is 0 s: .* of 1 s at least and 366 days", lambda: spec(lifetime=timedelta())),
    ("lifetime is 3.17088e", lambda: spec(lifetime=timedelta(days=367))),
    ("attempt_policy is 'x'", lambda: spec(attempt_policy="x")),
    ("master_log_level is", lambda: spec(master_log_level=LogLevel.UNKNOWN)),
    (
        "application_master.others: YARN takes .* would drop gpu",
        lambda: spec(application_master=Resources(others={"gpu": 1})),
    ),
    ("variable A is 131,072 bytes", lambda: spec(master_environment={"A": "x" * 131_070})),
    ("KNIT_RANK is set by knit", lambda: spec(master_environment={"KNIT_RANK": "1"})),
    (r"view_users\[0\]: 'a b' is no name of a user", lambda: AccessControl(view_users=["a b"])),
    (
        "modify_groups has 1,001 entries",
        lambda: AccessControl(modify_groups=[f"g{n}" for n in range(1_001)]),
    ),
    ("annotations has 65,537 bytes", lambda: spec(annotations={"k": "x" * 65_536})),
    ("annotations.k: this is neither text nor bytes", lambda: spec(annotations={"k": 1})),
    ("annotations.k: .* half a character", lambda: spec(annotations={"k": "\ud800"})),
    ("annotations has '', which is no name", lambda: spec(annotations={"": "x"})),
    ("role is container: give owner, operator or viewer", lambda: ClientGrant("c", Role.CONTAINER)),
    ("certificate is 3: give the path", lambda: ClientGrant(3, Role.OWNER)),  # type: ignore[arg-type]
    (
        "client_grants has 101 entries",
        lambda: spec(client_grants=[ClientGrant("c", Role.VIEWER)] * 101),
    ),
    ("command is empty", lambda: Driver(" ")),
    (
        "files has 101 entries: give 100 at most to a driver",
        lambda: Driver("c", files=[f"/f{n}" for n in range(101)]),
    ),
    ("give a knit.Driver", lambda: spec(driver="c")),
]  # fmt: skip


@pytest.mark.parametrize(("sentence", "make"), REFUSED, ids=[sentence for sentence, _ in REFUSED])
def test_what_makes_no_sense_is_refused(sentence: str, make: Callable[[], object]) -> None:
    with pytest.raises(SpecError, match=sentence):
        make()


def test_the_limits_are_exact() -> None:
    Service(
        "c", instances=100_000, stop_grace=HOUR, restart_budgets=[RestartBudget(None, [EXITED])]
    )
    Placement(nodes=[f"n{n}" for n in range(50)], strict=True)
    spec(annotations={"k": "x" * 65_535}, tags=[f"t{n}" for n in range(10)], type="x" * 20)
    Driver("c", files=[f"/f{n}" for n in range(100)])
    ApplicationSpec("a", {f"s{n}": Service("c") for n in range(1_000)})


def test_names_of_services_may_hold_dots_underscores_and_capitals() -> None:
    for name in ("dask.worker", "skein_launcher", "Worker-1", "x" * 63):
        ApplicationSpec("a", {name: Service("c")})
    for name in (".a", "a.", "_a", "a_", "a b", "a/b", "x" * 64, "ä"):
        with pytest.raises(SpecError, match="is not one: use up to 63 letters"):
            ApplicationSpec("a", {name: Service("c")})


def test_a_long_chain_is_no_circle() -> None:
    names = [f"s{n}" for n in range(1_000)]
    services = {
        name: Service("c", depends=names[index + 1 : index + 2]) for index, name in enumerate(names)
    }
    assert len(ApplicationSpec("a", services).services) == 1_000


def test_a_list_of_dependencies_means_ready() -> None:
    assert Service("c", depends=["b"]).depends == {"b": DependencyCondition.READY}


def test_two_numbers_are_short_for_two_budgets() -> None:
    service = Service("c", max_restarts=2, max_replacements=5)
    assert service.budgets == (RestartBudget(2, PROGRAM_FAILED), RestartBudget(5, TAKEN_AWAY))
    message = service._to_proto({})
    assert [budget.limit for budget in message.restart_budgets] == [2, 5]
    assert Service._from_proto(message) == service


def test_budgets_that_two_numbers_could_not_say_stay_in_full() -> None:
    without_end = RestartBudget(None, TAKEN_AWAY)
    service = Service("c", restart_budgets=[without_end])
    message = service._to_proto({})
    assert not message.restart_budgets[0].HasField("limit")
    assert Service._from_proto(message).restart_budgets == (without_end,)


def test_what_is_not_said_in_a_message_is_the_contracts_default() -> None:
    message = service_pb2.ServiceSpec(command="c", instances=1)
    message.update_policy.max_unavailable = 1
    message.back_off.SetInParent()
    message.depends.add(service_name="b")
    service = Service._from_proto(message)
    # Of the surge: 1 only where nothing may be missing.
    assert service.update_policy == UpdatePolicy(max_surge=0, max_unavailable=1)
    assert service.back_off == BackOff()
    assert service.depends == {"b": DependencyCondition.READY}
    assert (service.max_restarts, service.max_replacements) == (0, 3)


@settings(max_examples=30)
@given(SPECS)
def test_an_application_survives_the_contract(given_spec: ApplicationSpec) -> None:
    """But for what paths of certificates and keytabs lead to, and where files are brought."""
    grants = [g for g in given_spec.client_grants if g.certificate[0] == "s"]
    spec = attrs.evolve(given_spec, client_grants=grants, keytab=None)
    message = application_pb2.ApplicationSpec.FromString(
        spec._to_proto(
            {name: as_they_lie(service) for name, service in spec.services.items()},
            driver_resources=None if spec.driver is None else as_they_lie(spec.driver),
            user_name="whoever",
        ).SerializeToString()
    )
    assert ApplicationSpec._from_proto(message) == spec


def test_what_other_clients_leave_out_is_the_contracts_default() -> None:
    message = application_pb2.ApplicationSpec(name="a", user_name="ada")
    message.driver.command = "c"
    message.driver.local_resources["f"].url = "hdfs://cluster/f"
    message.services["w"].back_off.most.SetInParent()
    found = ApplicationSpec._from_proto(message)
    assert (found.linger, found.user) == (timedelta(seconds=10), None)
    assert found.driver == Driver("c", files=["hdfs://cluster/f"])
    back_off = found.services["w"].back_off
    assert back_off is not None
    # Said, and not left out: none at all.
    assert (back_off.most, back_off.reset_after) == (timedelta(), timedelta(minutes=10))


def test_a_grant_is_told_by_its_certificates_fingerprint(tmp_path: Path) -> None:
    path = tmp_path / "client.pem"
    path.write_bytes(ApplicationTls.generate().client.cert)
    grant = ClientGrant(path, Role.VIEWER)
    digest = grant.fingerprint()
    assert len(digest) == 32
    assert ClientGrant(f"SHA256:{digest.hex().upper()}", Role.VIEWER).fingerprint() == digest
    message = spec(client_grants=[grant])._to_proto({})
    assert message.client_grants[0].certificate_sha256 == digest
    assert message.client_grants[0].role == application_pb2.ROLE_VIEWER
    path.write_text("no certificate")
    with pytest.raises(SpecError, match="holds no certificate in PEM form"):
        grant.fingerprint()
    path.unlink()
    with pytest.raises(FileMissingError, match=r"client\.pem does not exist"):
        grant.fingerprint()
    with pytest.raises(SpecError, match="holds no certificate"):
        ClientGrant("/dev/zero", Role.VIEWER).fingerprint()


def test_paths_of_drivers_and_grants_begin_at_the_documents_directory(tmp_path: Path) -> None:
    path = tmp_path / "app.yaml"
    path.write_text(
        "name: a\ndriver: {command: c, files: [m.py], python_environment: env}\n"
        "client_grants: [{certificate: c.pem, role: VIEWER}]\n"
    )
    found = ApplicationSpec.from_file(path)
    assert found.driver is not None
    assert found.driver.files["m.py"].source == str(tmp_path / "m.py")
    assert found.driver.python_environment == str(tmp_path / "env")
    assert found.client_grants[0].certificate == str(tmp_path / "c.pem")
    assert not found.services


def test_what_lies_beside_the_application_master_has_other_names() -> None:
    with pytest.raises(DuplicateFileError, match="the Application Master's own name"):
        Driver("c", files=["x/knit-am.jar"])
    with pytest.raises(DuplicateFileError, match="Python environment's name"):
        Driver("c", files=[File("/x", "PYTHON_DIR")], python_environment="/env")


def test_annotations_are_bytes_and_read_well_in_documents() -> None:
    found = spec(annotations={"text": "grün", "bytes": b"\xff\0"})
    assert found.annotations == {"text": "grün".encode(), "bytes": b"\xff\0"}
    assert found.to_dict()["annotations"] == {"text": "grün", "bytes": {"base64": "/wA="}}


def test_a_mistake_deep_in_a_document_is_told_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "app.yaml"
    path.write_text(
        "name: a\nservices:\n  w:\n    command: c\n    depends: [x, w]\n"
        "annotations:\n  k: {base64: '?'}\n"
    )
    with pytest.raises(SpecError) as caught:
        ApplicationSpec.from_file(path)
    assert str(caught.value).endswith("line 7, column 7: annotations.k.base64: this is not base64.")
    path.write_text("name: a\nservices:\n  w:\n    command: c\n    depends: [w, x]\n")
    with pytest.raises(
        SpecError, match=r"line 5, column 18: services\.w\.depends\[1\]: there is no"
    ):
        ApplicationSpec.from_file(path)
    path.write_text(
        "name: a\nservices:\n  w:\n    command: c\n    restart_budgets:\n"
        "      - {limit: 1, reasons: [exited, nothing]}\n      - {reason: [exited]}\n"
    )
    with pytest.raises(SpecError) as caught:
        ApplicationSpec.from_file(path)
    told = str(caught.value)
    assert "line 6, column 38: services.w.restart_budgets[0].reasons[1]: 'nothing' is none" in told
    assert "services.w.restart_budgets[1]: 'reason' is not known here: did you mean 'reas" in told
    assert "services.w.restart_budgets[1].limit: this is missing" in told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "line 1, column 1: it is empty"),
        ('{"name": "a"\n"b": 1}', "line 2, column 1: it is not valid JSON"),
        ('{"name": "a",\n\t"name": "b"}', "line 2, column 2: the key 'name' is given twice"),
        ('{\n\t"name": "a",\n\t"quue": "b"\n}', "line 3, column 2: 'quue' is not known here"),
        ("[" * 100_000, "it is nested too deeply"),
        ('{"priority": ' + "9" * 5_000 + "}", "it holds what is no value"),
    ],
)
def test_mistakes_in_json_are_told_with_their_place(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "app.json"
    path.write_text(text)
    with pytest.raises(SpecError) as caught:
        ApplicationSpec.from_file(path)
    assert told in str(caught.value)


def test_json_is_read_as_json(tmp_path: Path) -> None:
    """Tabs, and characters beyond 16 bits, which YAML's reader takes apart."""
    path = tmp_path / "app.json"
    path.write_text('{\n\t"name": "\\ud83d\\ude00\\/",\n\t"services": {"w": {"command": "c"}}\n}')
    assert ApplicationSpec.from_file(path).name == "😀/"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1h30m", 5400), ("7 d", 604_800), (" 1 min 30 s ", 90), ("0.5s", 0.5), ("250 ms", 0.25)],
)
def test_lengths_of_time_are_read_as_people_write_them(text: str, seconds: float) -> None:
    data: dict[str, Any] = {"name": "a", "services": {"w": {"command": "c"}}, "linger": text}
    if seconds > 300:
        data = {**data, "linger": 1, "lifetime": text}
    found = ApplicationSpec.from_dict(data)
    assert (found.lifetime or found.linger) == timedelta(seconds=seconds)


@pytest.mark.parametrize("value", ["", "1", "1 year", "-1 s", "1s" * 3_000 + "x", True, None, []])
def test_what_is_no_length_of_time_is_refused(value: object) -> None:
    data = {"name": "a", "services": {"w": {"command": "c"}}, "linger": value}
    with pytest.raises(SpecError, match="linger: "):
        ApplicationSpec.from_dict(data)


def test_attempt_policies_are_named() -> None:
    assert spec(attempt_policy=AttemptPolicy.FAILURES).to_dict()["attempt_policy"] == "failures"
