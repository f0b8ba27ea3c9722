"""Runs in a container: prints the time, so many lines a second, so many seconds, after a start."""

from __future__ import annotations

import sys
import time


def main() -> None:
    rate, seconds = float(sys.argv[1]), float(sys.argv[2])
    began = time.monotonic()
    for number in range(round(rate * seconds)):
        time.sleep(max(0.0, began + number / rate - time.monotonic()))
        print(time.time_ns(), number, flush=True)


if __name__ == "__main__":
    main()
