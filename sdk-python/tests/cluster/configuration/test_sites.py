"""
Configurations as distributions write them, and what has to come of them.

Each directory of `sites` has a site's files, and an `expected.json`. The files were written for
these tests, in the manner of what such clusters have.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from knit._cluster.configuration import principals
from knit._cluster.configuration.addresses import name_node_rpc, resource_manager_rpc
from knit._cluster.configuration.config import ClusterConfig

SITES = sorted(path.parent for path in Path(__file__).parent.glob("sites/*/expected.json"))


def found(config: ClusterConfig, name: str, expected: Any) -> Any:
    """What comes of a configuration, in the form of what is expected."""
    match name:
        case "name_nodes" | "resource_managers":
            return list(getattr(config, name))
        case "resource_manager_rpc":
            return [list(each) for each in resource_manager_rpc(config)]
        case "name_node_rpc":
            authority = urlsplit(config.default_fs).netloc
            return [list(each) for each in name_node_rpc(config, authority)]
        case "renewer":
            return principals.renewer(config)
        case "truststore":
            return str(config.truststore.path) if config.truststore else None
        case "classpath":
            return list(config.application_classpath)
        case "classpath_begins":
            return config.application_classpath[0]
        case "get":
            return {key: config.get(key) for key in expected}
        case _:
            return getattr(config, name)


@pytest.mark.parametrize("site", SITES, ids=lambda path: path.name)
def test_what_comes_of_it(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = json.loads((site / "expected.json").read_text(encoding="utf-8"))
    for name, value in expected.pop("environment", {}).items():
        monkeypatch.setenv(name, value)
    config = ClusterConfig.from_directory(site)
    came = {name: found(config, name, value) for name, value in expected.items()}
    assert came == expected


def test_all_sites_are_looked_at() -> None:
    assert {site.name for site in SITES} >= {"bigtop", "cdp", "dataproc", "emr", "hdp"}
