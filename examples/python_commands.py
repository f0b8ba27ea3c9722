"""Short Python commands, by the Python that the nodes have."""

from knit import Knit

VERSION = 'python3 -c "import sys; print(sys.version_info); import random; print(random.random())"'
PATH = "python3 -c 'import sys; print(sys.path); import socket; print(socket.gethostname())'"

k = Knit(autodetect=True)
for cmd, num_containers in ((VERSION, 2), (PATH, 1)):
    app_id = k.start(cmd, num_containers=num_containers)
    if not k.wait_for_completion(timeout=120):
        raise SystemExit(f"{app_id} ended {k.runtime_status()}: {k.status()['app']['diagnostics']}")
    k.print_logs()
