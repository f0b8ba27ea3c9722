"""
What clusters the suite runs on, and which of its modules on which.

``python -m integration`` runs all of them, one after the other, and ``--kind`` one of them. What is
the same on all clusters is tested on the plain one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from integration.clusters.embedded import EmbeddedCluster
from integration.clusters.security import Lifetimes, Security, Web

HERE = Path(__file__).parent
PLAIN = "plain"
DOCKER_SECURE = "docker-secure"

LIFETIMES = Lifetimes(
    ticket=60,
    # Two of them, and the 18 s that a token may have when a container gets it, end before it does.
    renewal=24,
    token=80,
    cookie=20,
    # More than three times the ten seconds after which YARN gives a silent node up.
    key_roll=35,
    is_block_token_short=True,
)
"""Everything that ends does so while a test waits."""


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of cluster."""

    modules: Sequence[str]
    """Patterns of files, from this directory on, in the order in which they run."""
    nodes: int = 1
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """What ``EmbeddedCluster`` is told."""
    is_docker: bool = False
    """Whether it is the dockerized one instead."""

    def cluster(self, nodes: int | None, say: Callable[[str], None]) -> EmbeddedCluster:
        """One that has not been started."""
        return EmbeddedCluster(node_count=nodes or self.nodes, say=say, **self.settings)


KINDS: Mapping[str, Kind] = {
    PLAIN: Kind(["test_*.py"], nodes=2),
    # Kerberos and TLS everywhere, two of each master: the strictest there is.
    "secure-ha": Kind(
        [
            "secure/test_gssapi.py",
            "secure/test_kerberos.py",
            "secure/test_short_path.py",
            "secure/test_tokens.py",
            "secure/test_jvm_client.py",
            "secure/test_killed_daemons.py",
        ],
        nodes=2,
        settings={"security": Security(lifetimes=Lifetimes(key_roll=35)), "is_ha": True},
    ),
    # Kerberos and TLS, and nothing that lasts.
    "secure-lifetimes": Kind(
        [
            "secure/test_lifetimes.py",
            # These fill the time until what is long has become so.
            "secure/test_commands.py",
            "secure/test_kms.py",
            "secure/test_secrets.py",
            "secure/test_long_applications.py",
        ],
        settings={
            "security": Security(lifetimes=LIFETIMES, has_proxy_user_privileges=True, has_kms=True)
        },
    ),
    # Kerberos for RPC alone, and servers that offer every protection.
    "secure-web-default": Kind(
        [
            "secure/test_web_default.py",
            "secure/test_kerberos.py",
            "secure/test_tokens.py",
            "secure/test_rpc.py",
        ],
        settings={
            "security": Security(
                web=Web.DEFAULT,
                is_https=False,
                rpc_protection="authentication,integrity,privacy",
            )
        },
    ),
    # Kerberos for RPC, and web servers that believe every name, but give no tokens.
    "secure-web-simple": Kind(
        ["secure/test_rpc.py"],
        settings={"security": Security(web=Web.SIMPLE, is_https=False)},
    ),
    # MIT's KDC, hosts with names of their own, tickets that are renewed, clocks that go wrong.
    DOCKER_SECURE: Kind(["secure_docker/test_*.py"], is_docker=True),
}


def kinds_of(module: Path) -> Sequence[str]:
    """The names of the kinds that a file of tests runs on."""
    inner = module.relative_to(HERE)
    return [
        name
        for name, kind in KINDS.items()
        if any(inner in map(_inner, HERE.glob(pattern)) for pattern in kind.modules)
    ]


def place_of(module: Path, kind: str) -> int:
    """Where in the order of a kind a file of tests runs; it is one of its files."""
    inner = module.relative_to(HERE)
    return next(
        place
        for place, pattern in enumerate(KINDS[kind].modules)
        if inner in map(_inner, HERE.glob(pattern))
    )


def _inner(path: Path) -> Path:
    return path.relative_to(HERE)
