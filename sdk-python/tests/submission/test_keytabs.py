"""The keytab of a long application: whose it is, how it travels, and whether YARN can keep it."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest

from knit import ApplicationSpec, Service, SpecError
from knit._cluster.cluster import Cluster
from knit._cluster.yarn.submission import Submission
from knit._submission.facts import ClusterFacts
from knit._submission.keytabs import (
    LARGEST_KEYTAB_BYTES,
    Keytab,
    check_way,
    owner_advice,
    read_keytab_of,
)
from knit._submission.local_checks import local_problems
from knit._submission.state_store import check_state_store
from knit.exceptions import FileMissingError
from tests.fakes.cluster import FakeCluster

KEY = b"never to be shown"
MIB = 1024 * 1024


def entry(principal: str) -> bytes:
    name, _, realm = principal.partition("@")
    parts = name.split("/")
    texts = b"".join(struct.pack(">H", len(t)) + t.encode() for t in (realm, *parts))
    body = (
        struct.pack(">H", len(parts)) + texts + struct.pack(">IIBHH", 1, 0, 1, 18, len(KEY)) + KEY
    )
    return struct.pack(">i", len(body)) + body


def written(path: Path, *principals: str) -> str:
    path.write_bytes(b"\x05\x02" + b"".join(map(entry, principals)))
    return str(path)


def spec(**changes: Any) -> ApplicationSpec:
    return ApplicationSpec("demo", {"w": Service("c")}, **changes)


def test_without_one_there_is_none() -> None:
    assert read_keytab_of(spec()) is None


def test_the_only_principal_is_meant_and_the_keys_are_not_shown(tmp_path: Path) -> None:
    path = written(tmp_path / "k", "alice@R", "alice@R")
    found = read_keytab_of(spec(keytab=path))
    assert found is not None
    assert found.principal == "alice@R"
    assert KEY in found.data
    assert KEY.decode() not in repr(found)


def test_of_several_one_has_to_be_named(tmp_path: Path) -> None:
    path = written(tmp_path / "k", "alice@R", "svc/host@R")
    found = read_keytab_of(spec(keytab=path, principal="svc/host@R"))
    assert found is not None
    assert found.principal == "svc/host@R"
    with pytest.raises(SpecError, match="holds keys of alice@R, svc/host@R: say with principal"):
        read_keytab_of(spec(keytab=path))
    with pytest.raises(SpecError, match="holds no key of bob@R, but of alice@R"):
        read_keytab_of(spec(keytab=path, principal="bob@R"))


def test_what_is_no_keytab_is_told(tmp_path: Path) -> None:
    path = tmp_path / "k"
    with pytest.raises(FileMissingError, match="does not exist on this machine"):
        read_keytab_of(spec(keytab=path))
    with pytest.raises(SpecError, match="cannot be read"):
        read_keytab_of(spec(keytab=tmp_path))
    path.write_text("a password")
    with pytest.raises(SpecError, match="is no keytab") as caught:
        read_keytab_of(spec(keytab=path))
    assert "a password" not in str(caught.value)
    path.write_bytes(b"\x05\x02" + bytes(LARGEST_KEYTAB_BYTES))
    with pytest.raises(SpecError, match=r"has more than 64 KiB.*make one with this principal"):
        read_keytab_of(spec(keytab=path))
    with pytest.raises(SpecError, match="there is no keytab: give the keytab too"):
        read_keytab_of(spec(principal="alice@R"))


def test_it_is_checked_with_all_else_of_this_machine(tmp_path: Path) -> None:
    [error] = local_problems(spec(keytab=tmp_path / "missing"))
    assert str(error).startswith("keytab: The keytab")


@pytest.fixture
def fake() -> Any:
    with FakeCluster() as running:
        yield running


def test_it_goes_over_no_plain_connection(fake: FakeCluster) -> None:
    with (
        Cluster(fake.config, user="alice") as cluster,
        pytest.raises(SpecError, match=r"over https or encrypted RPC only.*yarn\.http\.policy"),
    ):
        check_way(cluster)


@pytest.mark.parametrize(
    ("protection", "goes"),
    [("privacy", True), ("authentication,integrity,privacy", False), (None, False)],
)
def test_by_rpc_only_what_cannot_be_plain_will_do(
    fake: FakeCluster, protection: str | None, goes: bool
) -> None:
    properties = {"knit.door": "rpc"}
    if protection is not None:
        properties["hadoop.rpc.protection"] = protection
    with Cluster(fake.config.with_properties(properties), user="alice") as cluster:
        if goes:
            check_way(cluster)
        else:
            with pytest.raises(SpecError, match="Set it to privacy here"):
                check_way(cluster)


@pytest.mark.parametrize(
    ("principal", "is_told"),
    [
        ("alice@EXAMPLE.COM", False),
        ("alice/batch@EXAMPLE.COM", False),
        ("svc-alice@EXAMPLE.COM", False),
        ("bob@EXAMPLE.COM", True),
    ],
)
def test_one_of_somebody_else_is_told(fake: FakeCluster, principal: str, *, is_told: bool) -> None:
    """The cluster's rules are not ours to know, so that it is told and not refused."""
    rules = {"hadoop.security.auth_to_local": "RULE:[1:$1](svc-.*)s/svc-//\nDEFAULT"}
    with Cluster(fake.config.with_properties(rules), user="alice") as cluster:
        said = owner_advice(cluster, Keytab(principal, b""))
    assert bool(said) is is_told
    assert all("ship a keytab of alice's" in sentence for sentence in said)


def test_of_one_that_no_rule_is_for_nothing_is_told(fake: FakeCluster) -> None:
    rules = {"hadoop.security.auth_to_local": "RULE:[1:$1](svc-.*)s/svc-//"}
    with Cluster(fake.config.with_properties(rules), user="alice") as cluster:
        assert owner_advice(cluster, Keytab("bob@EXAMPLE.COM", b"")) == []


def submission(size: int) -> Submission:
    return Submission(
        application_id="application_1_0001",
        name="demo",
        application_type="knit",
        queue="default",
        memory_mib=1,
        vcores=1,
        command="c",
        secrets={"knit.application": bytes(size)},
    )


ZOOKEEPER = {
    "yarn.resourcemanager.recovery.enabled": "true",
    "yarn.resourcemanager.store.class": "org.apache.hadoop.a.b.ZKRMStateStore",
}
LIMIT = "yarn.resourcemanager.zk-max-znode-size.bytes"


@pytest.mark.parametrize(
    ("configured", "size", "fits"),
    [
        (ZOOKEEPER, MIB, True),
        (ZOOKEEPER, MIB + 1, False),
        ({**ZOOKEEPER, LIMIT: str(2 * MIB)}, 2 * MIB, True),
        ({**ZOOKEEPER, LIMIT: "300000"}, 300_001, False),
        ({**ZOOKEEPER, "yarn.resourcemanager.recovery.enabled": "false"}, 2 * MIB, True),
        (
            {**ZOOKEEPER, "yarn.resourcemanager.store.class": "FileSystemRMStateStore"},
            MIB * 2,
            True,
        ),
        ({}, 2 * MIB, True),
    ],
)
def test_what_zookeeper_does_not_take_is_told_before(
    fake: FakeCluster, configured: dict[str, str], size: int, fits: bool
) -> None:
    fake.resource_manager.configuration = configured
    with Cluster(fake.config, user="alice") as cluster:
        if fits:
            check_state_store(ClusterFacts(cluster), submission(size))
        else:
            with pytest.raises(SpecError, match=r"keeps .* in ZooKeeper"):
                check_state_store(ClusterFacts(cluster), submission(size))


def test_of_a_small_one_nobody_is_asked(fake: FakeCluster) -> None:
    with Cluster(fake.config, user="alice") as cluster:
        check_state_store(ClusterFacts(cluster), submission(1000))
    assert not fake.resource_manager.requests


def test_of_very_many_principals_only_some_are_told(tmp_path: Path) -> None:
    path = written(tmp_path / "k", *(f"user{number:02}@R" for number in range(12)))
    with pytest.raises(SpecError, match=r"user09@R and 2 more: say with principal"):
        read_keytab_of(spec(keytab=path))
