"""
A fake Application Master, for tests of programs that use knit.

    with FakeApplicationMaster(spec) as fake:
        application = fake.application()
        worker = fake.containers()[0]
        fake.write(worker.container_id, b"ready\\n")
        fake.finish(worker.container_id, exit_code=0)
        assert [line.text for line in application.logs()] == ["ready"]

It speaks the contract over real gRPC and real mutual TLS, in this process, and needs neither a
cluster nor a JVM. What would happen on a cluster is told to it: which container is granted, what
it writes, how it ends, and what goes wrong on the way.
"""

from knit.testing._application_master import FakeApplicationMaster
from knit.testing._faults import Fault

__all__ = ["FakeApplicationMaster", "Fault"]
