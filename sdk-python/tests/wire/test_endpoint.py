"""A folder of credentials, written and read."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from knit import Endpoint
from knit._wire.endpoint import LARGEST_FILE_BYTES
from knit.exceptions import CredentialsError

ENDPOINT = Endpoint(
    application_id="application_1_0001",
    address="node1:4711",
    server_name="knit-application-master",
    ca=b"CA\n",
    cert=b"CERT\n",
    key=b"KEY\n",
    token=None,
)
OF_A_CONTAINER = attrs.evolve(ENDPOINT, token="worker/0/1/MAC")


@pytest.mark.parametrize("endpoint", [ENDPOINT, OF_A_CONTAINER], ids=["client", "container"])
def test_what_is_saved_is_read_and_is_for_us_alone(tmp_path: Path, endpoint: Endpoint) -> None:
    directory = endpoint.save(tmp_path / "new" / "keys")
    assert Endpoint.load(directory) == endpoint
    assert directory.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in directory.iterdir()} == {0o600}


def test_nothing_secret_is_shown() -> None:
    shown = repr(attrs.evolve(OF_A_CONTAINER, key=b"PRIVATE"))
    assert "MAC" not in shown
    assert "PRIVATE" not in shown
    assert "node1:4711" in shown


def test_files_are_replaced_only_where_they_may_be(tmp_path: Path) -> None:
    OF_A_CONTAINER.save(tmp_path)
    other = attrs.evolve(ENDPOINT, address="node2:1")
    with pytest.raises(FileExistsError, match="is there already"):
        other.save(tmp_path, replace=False)
    assert Endpoint.load(tmp_path) == OF_A_CONTAINER, "nothing was written"
    (tmp_path / "key.pem").chmod(0o644)
    assert Endpoint.load(other.save(tmp_path)) == other, "and no token of another is left"
    assert (tmp_path / "key.pem").stat().st_mode & 0o777 == 0o600


def test_a_link_in_the_place_of_a_file_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "key.pem").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        ENDPOINT.save(tmp_path / "keys", replace=False)
    ENDPOINT.save(tmp_path / "keys")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("key.pem", None, r"has no file key\.pem.*knit credentials APPLICATION"),
        ("application_id", None, "has no file application_id"),
        ("address", b"", "address must be one word"),
        ("token", b"two words", "token must be one word"),
        ("token", "wörker/0/1/x".encode(), "token must be one word"),
        ("token", b"a\r\nknit-token: b", "token must be one word"),
        ("ca.pem", b"x" * (LARGEST_FILE_BYTES + 1), "more than 65536 bytes"),
    ],
)
def test_what_is_not_right_is_named(
    tmp_path: Path, name: str, content: bytes | None, expected: str
) -> None:
    ENDPOINT.save(tmp_path)
    (tmp_path / name).unlink(missing_ok=True)
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(CredentialsError, match=expected):
        Endpoint.load(tmp_path)


def test_a_directory_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "none", tmp_path / "file"):
        with pytest.raises(CredentialsError, match=f"{path.name} is no directory|cannot be read"):
            Endpoint.load(path)


def test_a_name_may_end_with_a_line(tmp_path: Path) -> None:
    """As people write files."""
    ENDPOINT.save(tmp_path)
    (tmp_path / "address").write_text("node1:4711\n")
    assert Endpoint.load(tmp_path) == ENDPOINT
