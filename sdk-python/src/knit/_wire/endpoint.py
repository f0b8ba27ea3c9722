"""Where an Application Master listens, for clients that are not this SDK."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from knit._wire.tls import ClientTls


@attrs.frozen(kw_only=True)
class Endpoint:
    """
    All that a client in any language needs to call `knit.v1` of one application.

    It connects to `address` with mutual TLS: `ca` is the only authority it trusts, `cert` and
    `key` say who it is, and the name it expects in the server's certificate is `server_name`,
    whatever the address.
    """

    address: str
    """`host:port`. Another one after the Application Master was started again."""
    server_name: str
    """The name in the Application Master's certificate."""
    ca: bytes = attrs.field(repr=False)
    """The application's certificate authority, as PEM."""
    cert: bytes = attrs.field(repr=False)
    """The client's certificate, as PEM."""
    key: bytes = attrs.field(repr=False)
    """The client's private key, as PEM. Whoever has it controls the application."""

    @classmethod
    def _of(cls, address: str, tls: ClientTls) -> Endpoint:
        from knit._wire.tls import SERVER_NAME

        return cls(address=address, server_name=SERVER_NAME, ca=tls.ca, cert=tls.cert, key=tls.key)

    def save(self, directory: str | os.PathLike[str]) -> Path:
        """
        Writes `address`, `server_name`, `ca.pem`, `cert.pem` and `key.pem` for us alone to read.

        Args:
            directory: Made if it is not there (mode 0700). Files of these names are replaced.

        Returns:
            The directory.

        Raises:
            OSError: It cannot be written.
        """
        path = Path(directory)
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        files = {
            "address": self.address.encode(),
            "server_name": self.server_name.encode(),
            "ca.pem": self.ca,
            "cert.pem": self.cert,
            "key.pem": self.key,
        }
        for name, content in files.items():
            # Made anew, for a file that was there could be open to others.
            (path / name).unlink(missing_ok=True)
            descriptor = os.open(path / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
        return path
