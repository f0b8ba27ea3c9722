"""Who may what with the fake Application Master is what the contract's page says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

import knit
from knit import (
    Access,
    Application,
    ApplicationSpec,
    ContainerRef,
    NotPermittedError,
    Role,
    Service,
)
from knit._wire.calls.application import get_application
from knit.testing import FakeApplicationMaster, _roles
from knit.v1 import application_service_pb2 as pb

PAGE = Path(__file__).parents[3] / "docs" / "contract.md"
SPEC = ApplicationSpec(
    "demo",
    {
        "boss": Service("x", access=Access.OPERATOR, environment={"A": "own"}),
        "worker": Service("x", instances=2, environment={"A": "other"}),
    },
    annotations={"note": b"1"},
)


@pytest.fixture
def fake() -> Iterator[FakeApplicationMaster]:
    with FakeApplicationMaster(SPEC) as fake:
        yield fake


def test_the_table_is_the_contract_s() -> None:
    rows = re.findall(r"^\| `(\w+/\w+)` \|(.*)\|$", PAGE.read_text("utf-8"), re.MULTILINE)
    roles = (Role.OWNER, Role.OPERATOR, Role.VIEWER, Role.CONTAINER)
    said = {
        f"knit.v1.{name}": {
            role for role, cell in zip(roles, cells.split("|"), strict=True) if cell.strip()
        }
        for name, cells in rows
    }
    assert said == _roles.ALLOWED


def asked(app: Application, *, with_values: bool = False) -> pb.GetApplicationResponse:
    """What the Application Master answers, as it stands."""

    def read(response: pb.GetApplicationResponse) -> pb.GetApplicationResponse:
        return response

    call = get_application(app.application_id, with_values=with_values)
    raw: Any = attrs.evolve(call, read=read)  # type: ignore[arg-type]
    response: pb.GetApplicationResponse = app._session.call(raw, None)
    return response


def role_of(app: Application) -> Role:
    return Role(asked(app).caller_role)


def reason_of(call: Callable[[], object]) -> tuple[str | None, dict[str, str]]:
    with pytest.raises(NotPermittedError) as caught:
        call()
    return caught.value.reason, dict(caught.value.facts)


def test_a_viewer_looks_and_sees_no_values(fake: FakeApplicationMaster) -> None:
    owner, viewer = fake.application(), fake.application(role=Role.VIEWER)
    owner.kv["key"] = b"secret"
    assert role_of(viewer) is Role.VIEWER
    assert len(viewer.containers()) == 3
    entry = viewer.kv.entry("key")
    assert entry is not None
    assert (entry.value, entry.value_bytes) == (b"", 6)
    assert reason_of(viewer.stop) == (
        "PERMISSION_DENIED",
        {"method": "knit.v1.ApplicationService/Shutdown", "role": "viewer", "needed": "owner"},
    )
    for call in (
        lambda: viewer.kv.put("key", b""),
        lambda: viewer.scale("worker", 0),
        lambda: viewer.annotate({"a": b"b"}),
        viewer.annotations,
        lambda: next(viewer.kv.watch("key")),
    ):
        assert reason_of(call)[0] == "PERMISSION_DENIED"
    assert owner.kv["key"] == b"secret"
    assert len(fake.containers()) == 3


def test_an_operator_changes_and_ends_nothing_and_gives_no_more_than_it_has(
    fake: FakeApplicationMaster,
) -> None:
    operator = fake.application(role=Role.OPERATOR)
    operator.scale("worker", 3)
    operator.add_services({"second": Service("x", access=Access.OPERATOR)})
    for call in (
        operator.stop,
        operator.annotations,
        lambda: operator.add_services({"third": Service("x", access=Access.OWNER)}),
        lambda: operator.update_service("worker", Service("y", instances=2, access=Access.OWNER)),
    ):
        assert reason_of(call)[0] == "PERMISSION_DENIED"
    assert {s.name for s in operator.services()} == {"boss", "second", "worker"}


def test_a_container_knows_itself_and_stops_no_other(fake: FakeApplicationMaster) -> None:
    me, other = fake.current("worker", 0), fake.containers()[2]
    assert (me.container.ref, me.container.attempt_number) == (ContainerRef("worker", 0), 1)
    assert role_of(me.application) is Role.CONTAINER
    assert me.application.annotations() == {"note": b"1"}
    me.progress(0.5)
    assert reason_of(lambda: me.application.stop_containers([other])) == (
        "NOT_YOURSELF",
        {"service_name": "worker", "ordinal": "1"},
    )
    assert reason_of(me.application.stop)[1]["role"] == "container"
    me.kv.put("mine", b"1", owner=me.container)
    fake.current("worker", 1).kv.put("theirs", b"2", owner=ContainerRef("worker", 1))
    for call in (
        lambda: me.kv.put("theirs", b"3"),
        lambda: me.kv.delete("theirs"),
        lambda: me.kv.put("new", b"", owner=ContainerRef("worker", 1)),
    ):
        assert reason_of(call)[0] == "PERMISSION_DENIED"
    assert fake.application().kv["theirs"] == b"2"
    me.application.stop_containers([me.container.container_id])
    assert "mine" not in fake.application().kv
    with pytest.raises(knit.WrongStateError) as caught:
        me.progress(1)
    assert caught.value.reason == "CONTAINER_ENDED"


def test_access_makes_of_a_container_an_operator(fake: FakeApplicationMaster) -> None:
    boss = fake.current("boss").application
    assert role_of(boss) is Role.OPERATOR
    boss.scale("worker", 1)
    boss.stop_containers(services=["worker"])
    assert reason_of(boss.stop)[1]["role"] == "operator"


def test_a_program_of_its_own_is_let_in_by_the_variables_of_its_container(
    fake: FakeApplicationMaster, tmp_path: Path
) -> None:
    environment = fake.environment("worker", 1, tmp_path / "keys")
    code = "import knit\nwith knit.current() as me: me.kv['rank'] = b'%d' % me.container.rank"
    nowhere = {"HADOOP_CONF_DIR": "", "HADOOP_HOME": str(tmp_path)}
    subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **nowhere, **environment}, check=True
    )
    assert fake.application().kv["rank"] == b"1"


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (None, "TOKEN_MISSING"),
        ("worker/0/1/" + "A" * 43, "TOKEN_REFUSED"),
        ("nonsense", "TOKEN_REFUSED"),
    ],
)
def test_a_container_without_its_token_is_nobody(
    fake: FakeApplicationMaster, tmp_path: Path, token: str | None, reason: str
) -> None:
    directory = Path(fake.environment("worker", 0, tmp_path)["KNIT_CREDENTIALS"])
    if token is None:
        (directory / "token").unlink()
    else:
        (directory / "token").write_text(token)
    with knit.connect(directory) as app, pytest.raises(NotPermittedError) as caught:
        app.containers()
    assert caught.value.reason == reason


def test_a_token_is_void_after_a_new_beginning(fake: FakeApplicationMaster) -> None:
    me = fake.current("worker", 0)
    me.progress(0.1)
    fake.begin_anew()
    with pytest.raises(NotPermittedError) as caught:
        me.progress(0.2)
    assert caught.value.reason == "TOKEN_REFUSED"


def test_containers_see_the_values_of_their_own_service(fake: FakeApplicationMaster) -> None:
    def seen(app: Application) -> dict[str, str]:
        services = asked(app, with_values=True).spec.services
        return {name: service.environment["A"] for name, service in services.items()}

    assert seen(fake.application()) == {"boss": "own", "worker": "other"}
    assert seen(fake.current("boss").application) == {"boss": "own", "worker": ""}
