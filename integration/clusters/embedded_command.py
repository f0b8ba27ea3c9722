"""The command that keeps an embedded cluster up, and says how a shell uses it."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import shlex
import signal
import sys
from collections.abc import Iterator

from integration import toolchain
from integration.clusters.embedded import EmbeddedCluster, EmbeddedClusterError
from integration.clusters.jars import hadoop_version
from integration.clusters.security import REALM, USERS, Security, Web


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Treat SIGTERM and SIGHUP as Ctrl-C."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    with contextlib.suppress(KeyboardInterrupt):
        yield


def _say(line: str) -> None:
    print(line, flush=True)


def main() -> None:
    """Start a cluster, say where it is, and stay until Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="python -m integration.clusters.embedded", description=main.__doc__
    )
    parser.add_argument("--nodes", type=int, default=1, help="number of NodeManagers (1)")
    parser.add_argument("--hadoop-version", default=hadoop_version(), help="(%(default)s)")
    parser.add_argument("--secure", action="store_true", help="with Kerberos")
    parser.add_argument(
        "--web",
        type=Web,
        metavar="|".join(each.value for each in Web),
        help="with Kerberos, and web servers that ask for it (the default, with TLS), that are as "
        "Hadoop has them by default, or that believe the name that is claimed",
    )
    parser.add_argument(
        "--rpc-protection",
        metavar="authentication,integrity,privacy",
        help="what RPC servers offer (authentication; with --web=default all three)",
    )
    parser.add_argument(
        "--ha", action="store_true", help="two ResourceManagers, two NameNodes, recovery"
    )
    parser.add_argument("--kms", action="store_true", help="with Kerberos, and a KMS")
    arguments = parser.parse_args()
    security = None
    if arguments.secure or arguments.web or arguments.rpc_protection or arguments.kms:
        security = _security(arguments.web or Web.KERBEROS, arguments.rpc_protection)
        security = dataclasses.replace(security, has_kms=arguments.kms)
    cluster = EmbeddedCluster(
        node_count=arguments.nodes,
        version=arguments.hadoop_version,
        security=security,
        is_ha=arguments.ha,
        say=_say,
    )
    try:
        with _ended_by_signals(), cluster:
            _tell(cluster)
            while True:
                signal.pause()
    except (toolchain.ToolchainError, EmbeddedClusterError, AssertionError) as error:
        sys.exit(str(error))


def _security(web: Web, rpc_protection: str | None) -> Security:
    if web is Web.KERBEROS:
        return Security(rpc_protection=rpc_protection or "authentication")
    offered = rpc_protection or "authentication,integrity,privacy"
    return Security(web=web, is_https=False, rpc_protection=offered)


def _tell(cluster: EmbeddedCluster) -> None:
    _say(f"ResourceManager {cluster.resource_manager_url}")
    _say(f"NameNode        {cluster.name_node_url}")
    _say(f"Daemons         {' '.join(cluster.daemons())}")
    if cluster.security is None:
        _say(f"export HADOOP_CONF_DIR={shlex.quote(str(cluster.conf_dir))}")
    else:
        _tell_of_kerberos(cluster)
    _say("Ctrl-C takes it down.")


def _tell_of_kerberos(cluster: EmbeddedCluster) -> None:
    user, other = USERS
    _say(f"Users           {' '.join(cluster.users)}; {user} may act for {other}")
    if cluster.security is not None and cluster.security.has_kms:
        _say(f"KMS             {cluster.kms_url}")
    if cluster.ca_file is not None:
        _say(f"Authority       {cluster.ca_file}")
    _say(f"As {user}, with no kinit needed:")
    for name, value in cluster.environment(user).items():
        _say(f"export {name}={shlex.quote(value)}")
    keytab = shlex.quote(str(cluster.keytab(user)))
    _say(f"Or, without KRB5_CLIENT_KTNAME: kinit -kt {keytab} {user}@{REALM}")
