"""`knit credentials`, and what is done with what it saves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import knit
from knit.cli import main
from knit.testing import FakeApplicationMaster
from tests.cli import playing
from tests.cli.playing import FakeClient
from tests.cli.verbs.printed import as_json


@pytest.fixture
def fake() -> Iterator[FakeApplicationMaster]:
    """A running application, which every verb then talks to."""
    with (
        FakeApplicationMaster() as fake,
        playing.playing(FakeClient(playing.well, fake)),
    ):
        yield fake


def test_credentials_saves_what_a_client_in_another_language_needs_for_us_alone(
    fake: FakeApplicationMaster, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    directory = tmp_path / "new" / "keys"
    command = ["credentials", fake.application_id, "--out", str(directory), "--json"]
    assert main(command) == 0
    answer = as_json(capfd)
    assert answer["directory"] == str(directory)
    assert (directory / "address").read_text() == answer["address"]
    assert (directory / "server_name").read_text() == "knit-application-master"
    assert directory.stat().st_mode & 0o777 == 0o700
    for name in ("ca.pem", "cert.pem", "key.pem"):
        assert (directory / name).stat().st_mode & 0o777 == 0o600
    key = (directory / "key.pem").read_text()
    assert key.startswith("-----BEGIN PRIVATE KEY-----")
    assert "PRIVATE" not in json.dumps(answer)


@pytest.mark.parametrize("role", ["owner", "operator", "viewer"])
def test_credentials_of_a_role_are_that_roles(
    fake: FakeApplicationMaster,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    role: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["credentials", fake.application_id, "--role", role]) == 0
    saved = tmp_path / f"{fake.application_id}-{role}"
    assert (saved / "cert.pem").read_bytes() == fake.tls.clients[role].cert
    assert f"of the role {role}" in capfd.readouterr().err


def test_credentials_are_not_saved_over_others(
    fake: FakeApplicationMaster, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    command = ["credentials", fake.application_id, "--out", str(tmp_path)]
    assert main(command) == 0
    before = (tmp_path / "key.pem").read_bytes()
    capfd.readouterr()
    assert main([*command, "--role", "viewer"]) == 1
    err = capfd.readouterr().err
    assert "is there already" in err
    assert "--out" in err
    assert (tmp_path / "key.pem").read_bytes() == before
    assert main(["credentials", fake.application_id, "--role", "container"]) == 2


@pytest.mark.parametrize("how", ["option", "variable"])
def test_with_credentials_that_were_given_no_cluster_is_needed(
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
) -> None:
    """As in a container, where the application is `current`."""
    for name in ("HADOOP_CONF_DIR", "YARN_CONF_DIR", "HADOOP_INSTALL", "KNIT_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HADOOP_HOME", str(tmp_path))
    with FakeApplicationMaster() as fake:
        directory = str(fake.application().endpoint(role=knit.Role.VIEWER).save(tmp_path / "keys"))
        monkeypatch.setenv("KNIT_APPLICATION_ID", fake.application_id)
        if how == "variable":
            monkeypatch.setenv("KNIT_CREDENTIALS", directory)
        options = ["--credentials", directory] if how == "option" else []
        assert main(["containers", "current", "--json", *options]) == 0
        assert len(as_json(capfd)) == len(fake.containers())
    assert main(["list", *options]) == 1
    err = capfd.readouterr().err
    assert "Only the application's Application Master can be asked here" in err
    assert err.count("\n") == 1


def test_current_outside_of_an_application_says_what_it_means(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KNIT_APPLICATION_ID", raising=False)
    assert main(["status", "current"]) == 2
    assert "KNIT_APPLICATION_ID" in capfd.readouterr().err
