"""The delegation tokens of applications and of the client, on clusters that ask for them."""

from __future__ import annotations

import shlex
import uuid
from datetime import timedelta

import knit
import pytest
from knit._cluster.security.token_file import Credentials
from knit._cluster.security.token_services import file_system_service
from knit._cluster.security.tokens import HDFS_KIND, TokenIdentifier

from integration.clusters.embedded import EmbeddedCluster
from integration.watch import Watch, heard, keys_in, seen_in

PATIENCE = timedelta(minutes=2)
SMALL = knit.Resources(memory="128 MiB")


def spec_of(command: str, **changes: object) -> knit.ApplicationSpec:
    service = knit.Service(command, resources=SMALL)
    return knit.ApplicationSpec("tokens", {"w": service}, **changes)  # type: ignore[arg-type]


def under_another_name(config: knit.ClusterConfig) -> knit.ClusterConfig:
    """The cluster's file system as a nameservice that its ResourceManager does not know."""
    own = config.default_fs.removeprefix("hdfs://")
    members = config.get_list(f"dfs.ha.namenodes.{own}")
    suffixes = {member: f".{own}.{member}" for member in members} or {"n1": ""}
    changed = {
        "dfs.nameservices": ",".join([*config.get_list("dfs.nameservices"), "other"]),
        "dfs.ha.namenodes.other": ",".join(suffixes),
    }
    for member, suffix in suffixes.items():
        for kind in ("rpc", "http", "https"):
            name = f"dfs.namenode.{kind}-address"
            value = config.get(f"{name}{suffix}") or (own if kind == "rpc" else None)
            if value is not None:
                changed[f"{name}.other.{member}"] = value
    return config.with_properties(changed)


def test_containers_hold_a_token_for_the_file_system_that_yarn_renews(
    client: knit.Client, cluster: EmbeddedCluster, config: knit.ClusterConfig
) -> None:
    copy = cluster.directory / "tokens-of-a-container"
    command = f'cp "$HADOOP_TOKEN_FILE_LOCATION" {shlex.quote(str(copy))}'
    with heard() as records, client.submit(spec_of(command)) as app:
        report = app.wait(timeout=PATIENCE)
        assert report.final_status is knit.FinalStatus.SUCCEEDED, report.diagnostics
        assert report.user == cluster.user
    held = Credentials.from_file(copy)
    passwords = {token.kind: token.password for token in held.tokens.values()}
    said = "\n".join(records).encode()
    assert app.application_id.encode() in said, "the client has logged something"
    assert seen_in(said, passwords) == []
    [token] = held.of_kind(HDFS_KIND)
    assert token.service == file_system_service(config, config.default_fs)
    found = TokenIdentifier.of(token)
    assert found is not None
    # By RPC it has the realm, and by WebHDFS not.
    assert (found.owner.partition("@")[0], found.renewer) == (cluster.user, "rm")


def test_a_renewer_that_is_somebody_else_is_told_by_submit(config: knit.ClusterConfig) -> None:
    """YARN takes the submission, and refuses it when it has tried to renew."""
    wrong = config.with_properties(
        {
            "yarn.resourcemanager.principal": "somebody/localhost@EXAMPLE.COM",
            # It is believed to be who it is all the same.
            "yarn.resourcemanager.principal.pattern": "*",
        }
    )
    with (
        knit.Client(wrong) as client,
        pytest.raises(knit.SubmissionError, match=r"could not renew.*somebody/localhost"),
    ):
        client.submit(spec_of("true"))


def test_a_file_system_that_yarn_does_not_know_is_taken_without_a_renewer(
    config: knit.ClusterConfig,
) -> None:
    with knit.Client(under_another_name(config)) as client:
        with pytest.raises(knit.SubmissionError, match=r"ha-hdfs:other.*without_renewer=True"):
            client.submit(spec_of("true", file_systems=["hdfs://other"]))
        named = knit.FileSystem("hdfs://other", without_renewer=True)
        with client.submit(spec_of("true", file_systems=[named])) as app:
            report = app.wait(timeout=PATIENCE)
            assert report.final_status is knit.FinalStatus.SUCCEEDED, report.diagnostics


def test_a_keytab_goes_encrypted_or_not_at_all(
    config: knit.ClusterConfig, cluster: EmbeddedCluster
) -> None:
    """And it is seen by nobody else, as what a program leaves open in its arguments is."""
    keytab, leak = cluster.keytab(cluster.user), uuid.uuid4().hex
    spec = spec_of(f"exec -a {leak} sleep 1", keytab=keytab)
    if not config.resource_managers[0].startswith("https:"):
        with (
            knit.Client(config) as client,
            pytest.raises(knit.SpecError, match="over https or encrypted RPC only"),
        ):
            client.submit(spec)
        config = config.with_properties({"hadoop.rpc.protection": "privacy"})
    keys = keys_in(keytab.read_bytes())
    with (
        Watch({**keys, "the leak": leak.encode()}, [], own=str(cluster.directory)) as watch,
        heard() as records,
        knit.Client(config) as client,
        client.submit(spec) as app,
    ):
        report = app.wait(timeout=PATIENCE)
        assert report.final_status is knit.FinalStatus.SUCCEEDED, report.diagnostics
    assert {find["what"] for find in watch.finds} == {"the leak"}, watch.finds
    assert seen_in("\n".join(records).encode(), keys) == []
