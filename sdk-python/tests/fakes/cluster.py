"""
A ResourceManager, a NameNode and a DataNode in this process, over real sockets.

They behave like Hadoop's where knit can tell: redirects, `RemoteException` bodies, standby
answers, an RPC port that answers in its own way. What a test wants to go wrong is a field.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from xml.sax.saxutils import escape

from knit._cluster.configuration.config import ClusterConfig
from tests.fakes.hdfs import FakeDataNode, FakeFileSystem, FakeNameNode
from tests.fakes.yarn import FakeResourceManager


class FakeCluster:
    """All of them, and the configuration that leads to them."""

    def __init__(self, user: str = "alice") -> None:
        self.user = user
        self.file_system = FakeFileSystem()
        self.file_system.make(f"/user/{user}", user, "700")
        self.data_node = FakeDataNode(self.file_system)
        self.name_node = FakeNameNode(self.file_system, self.data_node)
        self.resource_manager = FakeResourceManager()

    @property
    def properties(self) -> dict[str, str]:
        """Hadoop's properties for it."""
        return {
            "fs.defaultFS": "hdfs://127.0.0.1:8020",
            "yarn.resourcemanager.address": "RM.example:8032",
            "dfs.namenode.http-address": f"127.0.0.1:{self.name_node.port}",
            "yarn.resourcemanager.webapp.address": f"127.0.0.1:{self.resource_manager.port}",
        }

    @property
    def config(self) -> ClusterConfig:
        return ClusterConfig.from_properties(self.properties)

    def write_configuration(self, directory: Path) -> Path:
        """Writes a directory for HADOOP_CONF_DIR."""
        directory.mkdir(parents=True, exist_ok=True)
        for name, prefixes in (
            ("core-site", ("fs.",)),
            ("hdfs-site", ("dfs.",)),
            ("yarn-site", ("yarn.",)),
        ):
            lines = "".join(
                f"<property><name>{key}</name><value>{escape(value)}</value></property>\n"
                for key, value in self.properties.items()
                if key.startswith(prefixes)
            )
            text = f"<?xml version='1.0'?>\n<configuration>\n{lines}</configuration>\n"
            (directory / f"{name}.xml").write_text(text, encoding="utf-8")
        return directory

    def close(self) -> None:
        for server in (self.resource_manager, self.name_node, self.data_node):
            server.stop()

    def __enter__(self) -> FakeCluster:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
