"""What the wheel brings along besides code; where knit runs from its sources there is none."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest

import knit


@pytest.fixture(scope="module")
def distribution() -> metadata.Distribution:
    try:
        return metadata.distribution("knit-yarn")
    except metadata.PackageNotFoundError:
        pytest.skip("knit is not installed")


@pytest.fixture(scope="module")
def jar_licenses(distribution: metadata.Distribution) -> Path:
    directory = Path(str(distribution.locate_file("knit/_jar")))
    if not (directory / "knit-am.jar").is_file():
        pytest.skip("this is an editable installation, or one without the jar")
    return directory / "licenses"


def test_the_licence_is_named_and_there(distribution: metadata.Distribution) -> None:
    assert distribution.metadata["License-Expression"] == "BSD-3-Clause"
    assert distribution.metadata.get_all("License-File") == ["LICENSE"]
    [text] = [
        path
        for path in distribution.files or []
        if path.parts[-2:] == ("licenses", "LICENSE") and path.parts[0].endswith(".dist-info")
    ]
    assert "the knit authors" in text.read_text()


def test_the_licences_of_everything_in_the_jar_are_there(jar_licenses: Path) -> None:
    lines = (jar_licenses / "THIRD-PARTY.txt").read_text(encoding="utf-8").splitlines()
    assert len(lines) > 20
    for line in lines:
        name, licence, texts = line.split("\t")
        assert licence, name
        for text in texts.split():
            assert (jar_licenses / text).stat().st_size > 500, name
    for name in ("LICENSE", "NOTICE"):
        assert "the knit authors" in (jar_licenses / name).read_text(encoding="utf-8")


@pytest.mark.usefixtures("distribution")
def test_the_contract_is_there_for_clients_in_other_languages() -> None:
    contract = Path(knit.__file__).parent / "v1"
    names = {path.name for path in contract.glob("*.proto")}
    assert {"application_service.proto", "container_service.proto", "log_service.proto"} <= names
    generated = {path.name for path in contract.glob("*_pb2.py")}
    assert generated == {name.replace(".proto", "_pb2.py") for name in names}
