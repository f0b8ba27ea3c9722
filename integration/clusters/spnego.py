"""
Negotiate tokens by a keytab, for the cluster's own questions.

A process makes each, for Kerberos' library takes its configuration from the environment, and that
of the process that runs the tests is the tests' own. A session's cookies make them few.
"""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from integration.clusters.daemons import EmbeddedClusterError

ROOT = Path(__file__).parents[2]


class SpnegoError(EmbeddedClusterError):
    """No token was to be had; the message has the library's words."""


def negotiate(host: str, environment: Mapping[str, str]) -> str:
    """
    Make a token for a host's web server, in base64.

    Args:
        environment: what says whose: ``KRB5_CONFIG``, ``KRB5_CLIENT_KTNAME``, ``KRB5CCNAME``.

    Raises:
        SpnegoError: there is no library, no ticket, or no such server.
    """
    done = subprocess.run(
        [sys.executable, "-m", "integration.clusters.spnego", host],
        cwd=ROOT,
        env=dict(environment),
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise SpnegoError(done.stderr.strip().rpartition("\n")[2])
    return done.stdout.strip()


def main() -> None:
    """Print a token for the host that is named."""
    # knit's, as installed or as it lies here: the module needs none of what knit depends on.
    sys.path.append(str(ROOT / "sdk-python" / "src"))
    from knit._cluster.security.gssapi import SecurityContext

    with SecurityContext(f"HTTP@{sys.argv[1]}") as context:
        print(base64.b64encode(context.step()).decode("ascii"))


if __name__ == "__main__":
    main()
