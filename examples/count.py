"""A small program for containers: says where it runs, counts, and leaves."""

import os
import socket
import sys
import time

rank = os.environ["KNIT_RANK"]
print(f"rank {rank} runs on {socket.gethostname()} with Python {sys.version.split()[0]}")
for number in range(1, 11):
    print(f"{number} of 10")
    time.sleep(0.5)
