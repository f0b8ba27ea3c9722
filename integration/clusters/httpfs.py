"""HttpFS, Hadoop's own gateway to HDFS, as one more daemon of an embedded cluster."""

from __future__ import annotations

import os
import secrets
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.sax.saxutils import escape

from integration.clusters.embedded import EmbeddedCluster
from integration.clusters.free_ports import free_ports
from integration.clusters.jars import httpfs_jars
from integration.clusters.security import USERS

NAME = "httpfs"
_MAIN = "org.apache.hadoop.fs.http.server.HttpFSServerWebServer"
_LOGGING = """\
log4j.rootLogger=INFO, console
log4j.appender.console=org.apache.log4j.ConsoleAppender
log4j.appender.console.target=System.err
log4j.appender.console.layout=org.apache.log4j.PatternLayout
log4j.appender.console.layout.ConversionPattern=%d %p %c{1}: %m%n
"""


@contextmanager
def httpfs(cluster: EmbeddedCluster) -> Iterator[str]:
    """
    Runs HttpFS in front of a cluster without Kerberos, and gives its base URL.

    It is the first of ``USERS``, whom every cluster here lets act for the second.
    """
    home = cluster.directory / NAME
    conf_dir = home / "conf"
    for directory in (conf_dir, home / "log", home / "temp"):
        directory.mkdir(parents=True, exist_ok=True)
    [port] = free_ports(1)
    _write(
        conf_dir / "httpfs-site.xml",
        {
            "httpfs.http.hostname": "localhost",
            "httpfs.http.port": str(port),
            "httpfs.hadoop.config.dir": str(cluster.conf_dir),
        },
    )
    (conf_dir / "httpfs-log4j.properties").write_text(_LOGGING)
    (conf_dir / "httpfs-signature.secret").write_text(secrets.token_hex(32))
    class_path = [
        str(conf_dir),
        str(cluster.conf_dir),
        f"{httpfs_jars(cluster.hadoop_version)}/*",
        f"{cluster._jars}/*",
    ]
    cluster._daemons.start_java(
        NAME,
        _MAIN,
        class_path=os.pathsep.join(class_path),
        flags=[
            "-Xmx128m",
            f"-Dhttpfs.home.dir={home}",
            f"-Dhttpfs.config.dir={conf_dir}",
            f"-Dhttpfs.log.dir={home / 'log'}",
            f"-Dhttpfs.temp.dir={home / 'temp'}",
        ],
        environment={"HADOOP_USER_NAME": USERS[0]},
    )
    url = f"http://localhost:{port}"
    try:
        cluster._daemons.wait(lambda: _answers(url), what="HttpFS does not answer", names=[NAME])
        yield url
    finally:
        cluster._daemons.kill(NAME)


def _answers(url: str) -> bool:
    asked = f"{url}/webhdfs/v1/?op=GETHOMEDIRECTORY&user.name={USERS[1]}"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(asked, timeout=10) as response:
            return bool(response.status == 200)
    except urllib.error.HTTPError:
        raise
    except OSError:
        return False


def _write(path: Path, properties: dict[str, str]) -> None:
    lines = "".join(
        f"<property><name>{name}</name><value>{escape(value)}</value></property>\n"
        for name, value in properties.items()
    )
    path.write_text(f"<configuration>\n{lines}</configuration>\n", encoding="utf-8")
