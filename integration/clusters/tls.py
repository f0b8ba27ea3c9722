"""
The private authority of a cluster's web servers, and the stores that Hadoop's daemons read.

By the JDK's keytool, for nothing else is at hand wherever the cluster is started; all of its
commands run in one JVM.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from integration import toolchain
from integration.clusters.configuration import Properties
from integration.clusters.java_classes import KEYTOOL_EXPORT, tool_classes

# It keeps nobody out: the stores' files are their owner's alone, and the authority is gone with
# the cluster. Hadoop takes no store without one.
_PASSWORD = "changeit"
_STORE = ("-storetype", "PKCS12", "-storepass", _PASSWORD)
_KEY = ("-keyalg", "EC", "-groupname", "secp256r1", "-validity", "365")


class TlsError(Exception):
    """The stores could not be made; the message has keytool's words."""


class Tls:
    """The files, in a directory of their own."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @property
    def ca_file(self) -> Path:
        """The authority's certificate, as PEM."""
        return self._directory / "ca.pem"

    def make(self) -> None:
        """
        Make all of them.

        Raises:
            TlsError: keytool could not.
            ToolchainError: there is no JDK, or our own class does not compile.
        """
        java = toolchain.find_jdk()
        self._directory.mkdir(mode=0o700)
        signing = ("-rfc", "-ext", "san=dns:localhost,ip:127.0.0.1", "-validity", "365")
        authority = ("-keystore", "ca.p12", "-alias", "ca", *_STORE)
        server = ("-keystore", "server.p12", *_STORE)
        trust = ("-keystore", "trust.p12", *_STORE)
        commands = (
            ("-genkeypair", *authority, *_KEY, "-dname", "CN=knit test", "-ext", "bc:c"),
            ("-exportcert", *authority, "-rfc", "-file", "ca.pem"),
            ("-genkeypair", *server, "-alias", "server", *_KEY, "-dname", "CN=localhost"),
            ("-certreq", *server, "-alias", "server", "-file", "server.csr"),
            ("-gencert", *authority, "-infile", "server.csr", "-outfile", "server.pem", *signing),
            ("-importcert", *server, "-alias", "ca", "-file", "ca.pem", "-noprompt"),
            ("-importcert", *server, "-alias", "server", "-file", "server.pem", "-noprompt"),
            ("-importcert", *trust, "-alias", "ca", "-file", "ca.pem", "-noprompt"),
        )
        arguments = [each for command in commands for each in (*command, "+")][:-1]
        program = [str(java / "bin" / "java"), "-XX:TieredStopAtLevel=1", KEYTOOL_EXPORT]
        program += ["-cp", str(tool_classes(java)), "Keytool"]
        done = subprocess.run(
            [*program, *arguments],
            cwd=self._directory,
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise TlsError(f"keytool made no stores: {done.stdout}{done.stderr}")

    @property
    def server(self) -> Properties:
        """For ``ssl-server.xml``."""
        return {
            "ssl.server.keystore.location": self._directory / "server.p12",
            "ssl.server.keystore.password": _PASSWORD,
            "ssl.server.keystore.keypassword": _PASSWORD,
            "ssl.server.keystore.type": "PKCS12",
            **self._trust("server"),
        }

    @property
    def client(self) -> Properties:
        """For ``ssl-client.xml``."""
        return self._trust("client")

    def _trust(self, side: str) -> Properties:
        return {
            f"ssl.{side}.truststore.location": self._directory / "trust.p12",
            f"ssl.{side}.truststore.password": _PASSWORD,
            f"ssl.{side}.truststore.type": "PKCS12",
        }
