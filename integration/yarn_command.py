"""The cluster's own `yarn logs`, made of its jars where it was not installed as a whole."""

from __future__ import annotations

import shlex
from pathlib import Path

from integration.clusters import Cluster

LOGS_CLI = "org.apache.hadoop.yarn.client.cli.LogsCLI"


def install(cluster: Cluster, directory: Path) -> Path | None:
    """
    Lay out a directory that is of use as ``$HADOOP_HOME``, with a `bin/yarn` that knows `logs`.

    None if it is not known how the cluster's classes are run; then there may be a command on the
    ``$PATH``.
    """
    if cluster.hadoop_command is None:
        return None
    words = [
        # The variable is expanded, and the stars of a class path are not.
        f'"{word}"' if word.startswith("$HADOOP_CONF_DIR:") else shlex.quote(word)
        for word in [*cluster.hadoop_command, LOGS_CLI]
    ]
    script = directory / "bin" / "yarn"
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(
        "#!/bin/sh\n"
        "# What Hadoop's own script comes to in the end.\n"
        '[ "$1" = logs ] || { echo "yarn logs is all there is" >&2; exit 2; }\n'
        "shift\n"
        f'exec {" ".join(words)} "$@"\n',
        encoding="utf-8",
    )
    script.chmod(0o755)
    return directory
