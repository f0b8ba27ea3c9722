"""Run a command in a container, and read what it has written."""

from knit import Knit

k = Knit(autodetect=True)  # the cluster of HADOOP_CONF_DIR
app_id = k.start("date")
print(app_id)
if not k.wait_for_completion(timeout=120):
    raise SystemExit(f"{app_id} ended {k.runtime_status()}: {k.status()['app']['diagnostics']}")
for container_id, logs in k.logs().items():
    print(container_id, "on", logs["nodeId"])
    print(logs["stdout"], end="")
