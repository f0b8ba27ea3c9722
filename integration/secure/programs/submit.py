"""
Submits applications from within one, by the delegation tokens of its container.

    submit.py NOTES

It begins when there is a file ``go`` in NOTES, which the test makes when the tokens of its start
have ended. Each application is a line in the file ``submitted.NAME``, its ID and how it ended; NAME
is its service, or ``driver``. What fails is the last line.
"""

from __future__ import annotations

import os
import sys
import time
from datetime import timedelta
from pathlib import Path

import knit

PATIENCE = timedelta(minutes=3)
SPEC = knit.ApplicationSpec(
    "from-within", {"w": knit.Service("true", resources=knit.Resources(memory="128 MiB"))}
)


def main() -> None:
    notes = Path(sys.argv[1])
    name = os.environ.get("KNIT_SERVICE_NAME", "driver")
    with (
        (notes / f"submitted.{name}").open("w", buffering=1) as file,
        knit.Client.from_config() as client,
    ):
        while not (notes / "go").exists():
            time.sleep(0.2)
        try:
            # With the same tokens once more: the end of the first has cost it none.
            for _ in range(2):
                app = client.submit(SPEC)
                report = app.wait(timeout=PATIENCE)
                print(report.application_id, report.final_status.name, file=file)
        except BaseException as error:
            print(type(error).__name__, error, file=file)
            raise
    # A driver's end would be the application's.
    while True:
        time.sleep(1)


main()
