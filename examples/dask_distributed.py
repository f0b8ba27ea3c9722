"""
Dask: a scheduler here, workers in containers, and a computation on them.

Needs distributed beside knit: pip install distributed
"""

from distributed import Client, LocalCluster
from distributed.utils import get_ip
from knit import Knit

# Where there is a conda, an environment of its own does as well:
#   env = k.create_env(env_name="dev", packages=["distributed", "python=3"])
env = "running"  # the environment that this program runs in

k = Knit(autodetect=True)
# No worker of its own; the scheduler listens where the nodes can reach it.
with LocalCluster(n_workers=0, host=get_ip(), dashboard_address=None) as scheduler:
    try:
        cmd = (
            "$PYTHON_BIN $CONDA_PREFIX/bin/dask worker --nthreads 1 --no-dashboard --no-nanny "
            + scheduler.scheduler_address
        )
        k.start(cmd, env=env, num_containers=3, memory=384)
        with Client(scheduler) as client:
            client.wait_for_workers(3, timeout=240)
            print("workers", len(client.scheduler_info()["workers"]))
            squares = client.map(lambda number: number**2, range(100))
            print("sum of squares", client.submit(sum, squares).result(timeout=60))
    finally:
        print("killed:", k.app_id is not None and k.kill())
