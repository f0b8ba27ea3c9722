"""Further file systems, and the keytab of a long application, as a specification says them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from knit import ApplicationSpec, FileSystem, Service, SpecError


def spec(**changes: Any) -> ApplicationSpec:
    return ApplicationSpec("demo", {"w": Service("c")}, **changes)


def test_a_file_system_is_its_url_or_more() -> None:
    found = spec(file_systems=["hdfs://a/", FileSystem("hdfs://b:8020", without_renewer=True)])
    assert [each.url for each in found.file_systems] == ["hdfs://a", "hdfs://b:8020"]
    assert [each.authority for each in found.file_systems] == ["a", "b:8020"]
    assert [each.without_renewer for each in found.file_systems] == [False, True]


def test_one_that_is_named_twice_is_there_once() -> None:
    assert len(spec(file_systems=["hdfs://a", "hdfs://a/"]).file_systems) == 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("hdfs://a", "give a list of URLs"),
        ([f"hdfs://n{n}" for n in range(65)], "has 65 entries: give 64 at most"),
        (["hdfs://a/path"], "without a path"),
        (["s3a://bucket"], "hdfs://HOST:PORT"),
        (["hdfs://user:secret@host"], "hdfs://HOST:PORT"),
        (["hdfs://"], "hdfs://HOST:PORT"),
        ([7], "give a URL or a knit.FileSystem"),
        (
            ["hdfs://a", FileSystem("hdfs://a", without_renewer=True)],
            "is there twice, once without a renewer",
        ),
    ],
)
def test_what_is_none_is_refused(given: Any, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        spec(file_systems=given)


@pytest.mark.parametrize("principal", ["alice", "alice@", "@R", "a b@R", "a/b/c@R", "a@R@S", ""])
def test_a_principal_has_a_realm(principal: str) -> None:
    with pytest.raises(SpecError, match="give a principal, such as"):
        spec(principal=principal)


@pytest.mark.parametrize("keytab", ["", "a\0b", 7])
def test_a_keytab_is_a_path(keytab: Any) -> None:
    with pytest.raises(SpecError, match="is no path: give that of a file"):
        spec(keytab=keytab)


def test_the_keytab_of_a_file_begins_at_its_directory(tmp_path: Path) -> None:
    file = tmp_path / "app.yaml"
    file.write_text("name: a\nservices: {w: {command: c}}\nkeytab: keys/alice.keytab\n")
    assert ApplicationSpec.from_file(file).keytab == str(tmp_path / "keys/alice.keytab")
    file.write_text("name: a\nservices: {w: {command: c}}\nkeytab: /keys/alice.keytab\n")
    assert ApplicationSpec.from_file(file).keytab == "/keys/alice.keytab"
