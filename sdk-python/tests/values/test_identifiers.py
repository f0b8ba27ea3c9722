"""YARN's identifiers, read in any of the forms that its versions give them."""

from __future__ import annotations

import pytest

from knit._values.identifiers import (
    TYPED_APPLICATION_ID,
    TYPED_CONTAINER_ID,
    application_key,
    attempt_of,
    numbers_of,
)


@pytest.mark.parametrize(
    ("text", "attempt"),
    [
        ("container_1700000000000_0012_03_000002", 3),
        ("container_e17_1700000000000_0012_03_000002", 3),
        ("http://node:8042/node/containerlogs/container_1700000000000_0012_11_000001/ada", 11),
        ("application_1700000000000_0012", None),
        ("", None),
        (None, None),
    ],
)
def test_the_attempt_is_the_third_number_whatever_stands_around_the_id(
    text: str | None, attempt: int | None
) -> None:
    assert attempt_of(text) == attempt


def test_applications_are_ordered_by_age_and_not_by_their_letters() -> None:
    """YARN counts on past 9999, with more digits."""
    ids = [f"application_{n}" for n in ("1700000000000_9999", "1700000000000_10000", "1800_0001")]

    assert sorted(ids, key=application_key) == sorted(ids, key=numbers_of) == [ids[2], *ids[:2]]
    with pytest.raises(ValueError, match="not the ID of an application"):
        application_key("container_1700000000000_0012_03_000002")


def test_what_is_typed_has_all_of_its_zeros() -> None:
    assert TYPED_APPLICATION_ID.fullmatch("application_1700000000000_0012")
    assert not TYPED_APPLICATION_ID.fullmatch("application_1700000000000_012")
    match = TYPED_CONTAINER_ID.fullmatch("container_e17_1700000000000_0012_03_000002")
    assert match is not None
    assert match["application"] == "1700000000000_0012"
    assert not TYPED_CONTAINER_ID.fullmatch("container_1700000000000_0012_3_000002")
