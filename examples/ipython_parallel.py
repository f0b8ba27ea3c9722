"""
IPython Parallel: a controller here, three engines in containers, and a map over them.

Needs ipyparallel beside knit: pip install ipyparallel
"""

import os

import ipyparallel
from knit import Knit

# Where there is a conda, an environment of its own does as well:
#   env = k.create_env(env_name="ipyparallel", packages=["ipyparallel", "python=3"])
env = "running"  # the environment that this program runs in

k = Knit(autodetect=True)
cluster = ipyparallel.Cluster(n=0, controller_ip="*", log_level=30)
cluster.start_controller_sync()
try:
    with cluster.connect_client_sync() as client:
        controller = cluster.controller.connection_files["engine"]
        cmd = "$PYTHON_BIN $CONDA_PREFIX/bin/ipengine --file=" + os.path.basename(controller)
        k.start(cmd, env=env, files=[controller], num_containers=3, memory=512)
        client.wait_for_engines(3, timeout=240, interactive=False)
        print("engines", client.ids)
        print("squares", client[:].map_sync(lambda number: number**2, range(10)))
finally:
    print("killed:", k.app_id is not None and k.kill())
    cluster.stop_cluster_sync()
