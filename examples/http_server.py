"""
A program that runs until it is told to end: two web servers, fetched while they run, then killed.
"""

import re
import time
from urllib.request import urlopen

from knit import Knit

k = Knit(autodetect=True)
# Port 0 is any that is free, so two of them may share a node; the server says which it took.
app_id = k.start("python3 -m http.server 0", num_containers=2)
try:
    servers = {}
    deadline = time.monotonic() + 120
    while len(servers) < 2:
        if time.monotonic() > deadline:
            raise SystemExit(f"{app_id} is {k.runtime_status()}, and {len(servers)} of 2 serve")
        time.sleep(0.5)
        for container_id, logs in k.logs().items():
            if found := re.search(r"Serving HTTP on \S+ port (\d+)", logs["stdout"]):
                host = logs["nodeId"].partition(":")[0]
                servers[container_id] = f"http://{host}:{found[1]}/"
    for container_id, url in servers.items():
        with urlopen(url, timeout=10) as page:
            print(f"{container_id} at {url}: {page.status}")
finally:
    print("killed:", k.kill())
