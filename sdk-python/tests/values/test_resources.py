"""Amounts of memory, as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knit import Resources, SpecError
from knit._values.checking import LARGEST
from knit._values.resources import format_memory, parse_memory


@pytest.mark.parametrize(
    ("written", "mib"),
    [
        (512, 512),
        ("512", 512),
        ("512 MiB", 512),
        ("512mib", 512),
        (" 1.5 GiB ", 1536),
        (".5 GiB", 512),
        ("2 GB", 1908),
        ("1 TiB", 1024 * 1024),
        ("2g", 2048),
        ("256M", 256),
        ("1 b", 1),
        ("1025 KiB", 2),
    ],
)
def test_memory_is_read_as_written_and_rounded_up(written: str | int, mib: int) -> None:
    assert parse_memory(written) == mib


@pytest.mark.parametrize(
    "written", ["", "MiB", "-1 MiB", "0", 0, -5, "1 XiB", "1,5 GiB", "1e3", True, 1.5, None, "1 2"]
)
def test_what_is_no_amount_is_refused(written: object) -> None:
    with pytest.raises(SpecError, match="memory"):
        parse_memory(written)  # type: ignore[arg-type]


def test_more_than_yarn_counts_is_refused() -> None:
    with pytest.raises(SpecError, match="no further"):
        Resources("4 PiB")


@given(st.integers(1, LARGEST))
def test_what_is_written_reads_as_the_same(mib: int) -> None:
    assert parse_memory(format_memory(mib)) == mib


@given(st.integers(1, LARGEST), st.integers(1, LARGEST))
def test_resources_survive_the_contract(mib: int, vcores: int) -> None:
    resources = Resources(mib, vcores)
    assert Resources._from_proto(resources._to_proto()) == resources


@pytest.mark.parametrize("vcores", [0, -1, True, "2", 1.0])
def test_vcores_are_whole_and_positive(vcores: object) -> None:
    with pytest.raises(SpecError, match="vcores"):
        Resources(vcores=vcores)  # type: ignore[arg-type]


def test_resources_read_well() -> None:
    assert str(Resources("1.5 GiB", 1)) == "1536 MiB, 1 vcore"
    assert str(Resources("2 GiB", 2)) == "2 GiB, 2 vcores"
