"""
Makes the files that the unit tests of aggregated logs read: Hadoop itself writes them.

    python -m integration.make_log_fixtures sdk-python/tests/cluster/logs/data

For each format and compression it starts a cluster of one node, runs a small application on it,
and copies what its NodeManager has put into HDFS; for the rolling ones, while it runs, too.
"""

from __future__ import annotations

import argparse
import os
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import attrs
import knit
from knit._cluster.logs.directory import LogDirectories
from knit._cluster.yarn.submission import Submission
from knit._submission.am_container import AmSubmission

from integration import programs
from integration.clusters.configuration import IFILE
from integration.clusters.embedded import EmbeddedCluster
from integration.waiting import wait_until

USER = "alice"
SMALL = knit.Resources(memory="64 MiB")
ROLLED = "rolled.log"
# The NodeManager removes what it has collected, and then the next part is written.
ROLLING = f"""
log=${{LOG_DIRS%%,*}}/{ROLLED}
for part in 1 2 3; do
  seq $((part * 100)) $((part * 100 + 99)) > $log.part && mv $log.part $log
  for wait in 1 2 3 4 5 6 7 8 9 10; do
    if [ $part -lt 3 ] && [ -e $log ]; then sleep 2; fi
  done
done
echo done
"""


def services() -> dict[str, knit.Service]:
    """What the application of the simple fixtures consists of."""
    return {
        "numbers": knit.Service("seq 1 3000; seq 1 10 >&2", resources=SMALL, instances=2),
        "binary": knit.Service(
            "exec python3 programs.py every-byte", files=[Path(programs.__file__)], resources=SMALL
        ),
        "silent": knit.Service(":", resources=SMALL),
    }


def make(target: Path, *, file_format: str, codec: str, rolling: bool) -> None:
    """Write one fixture into a directory of its own."""
    properties: dict[str, object] = {
        **IFILE,
        "yarn.log-aggregation.file-formats": file_format,
        "yarn.nodemanager.log-aggregation.compression-type": codec,
        # Else the environment of each container is among its logs.
        "yarn.nodemanager.log-container-debug-info.enabled": "false",
    }
    if rolling:
        seconds = "yarn.nodemanager.log-aggregation.roll-monitoring-interval-seconds"
        properties |= {seconds: 3, f"{seconds}.min": 3}
    with EmbeddedCluster(node_count=1, yarn=properties, say=print) as cluster:
        cluster.create_home(USER)
        with knit.Client.from_config(cluster.conf_dir, user=USER) as client:
            wanted = {"rolling": knit.Service(ROLLING, resources=SMALL)} if rolling else services()
            spec = knit.ApplicationSpec("fixture", wanted, linger=timedelta(0))
            with mock.patch.object(AmSubmission, "to_submission", _with_rolling(rolling)):
                app = client.submit(spec)
            wait_until(
                lambda: app.report().raw.get("logAggregationStatus") == "SUCCEEDED",
                what="YARN did not collect the logs",
                timeout=timedelta(minutes=3),
            )
            _copy(client, app.application_id, target)


def _with_rolling(rolling: bool) -> Any:
    original = AmSubmission.to_submission

    def to_submission(self: AmSubmission) -> Submission:
        made = original(self)
        return attrs.evolve(made, rolled_logs=f"{ROLLED}$") if rolling else made

    return to_submission


def _copy(client: knit.Client, application_id: str, target: Path) -> None:
    files = client._cluster.files
    ask = client._cluster.resource_manager.configured
    target.mkdir(parents=True, exist_ok=True)
    for old in target.iterdir():
        old.unlink()
    for status in LogDirectories(files, client.config, ask).list_files(application_id, USER):
        (target / status.name).write_bytes(files.read(status.path))
    (target / "application").write_text(f"{application_id}\n")


def main() -> None:
    """Make them all."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("directory", type=Path)
    directory = parser.parse_args().directory
    os.environ["HADOOP_USER_NAME"] = USER
    for file_format in ("TFile", "IFile"):
        for codec, rolling in (("none", False), ("gz", False), ("gz", True)):
            name = "-".join([file_format.lower(), codec, *(["rolling"] if rolling else [])])
            make(directory / name, file_format=file_format, codec=codec, rolling=rolling)


if __name__ == "__main__":
    main()
