"""Where an Application Master listens and who one is to it, as a value and as a folder of files."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from knit.exceptions import CredentialsError

if TYPE_CHECKING:
    from knit._wire.tls import ClientTls

LARGEST_FILE_BYTES = 64 * 1024
"""Of each file in a folder of credentials: a certificate has less than 1 KiB."""


@attrs.frozen(kw_only=True)
class Endpoint:
    """
    All that a client in any language needs to call `knit.v1` of one application.

    It connects to `address` with mutual TLS: `ca` is the only authority it trusts, `cert` and
    `key` say who it is and what it may do, and the name it expects in the server's certificate is
    `server_name`, whatever the address.
    """

    application_id: str
    """YARN's identifier, `application_…`."""
    address: str
    """`host:port`. Another one after the Application Master was started again."""
    server_name: str
    """The name in the Application Master's certificate."""
    ca: bytes = attrs.field(repr=False)
    """The application's certificate authority, as PEM."""
    cert: bytes = attrs.field(repr=False)
    """The client's certificate, as PEM. It says the client's role."""
    key: bytes = attrs.field(repr=False)
    """The client's private key, as PEM. Whoever has it may what that role may."""
    token: str | None = attrs.field(default=None, repr=False)
    """Of a container, which sends it as metadata `knit-token` with each call; None of others."""

    @classmethod
    def _of(cls, application_id: str, address: str, tls: ClientTls) -> Endpoint:
        return cls(
            application_id=application_id,
            address=address,
            server_name=tls.server_name,
            ca=tls.ca,
            cert=tls.cert,
            key=tls.key,
            token=tls.token,
        )

    def _tls(self) -> ClientTls:
        from knit._wire.tls import ClientTls

        return ClientTls(
            ca=self.ca,
            cert=self.cert,
            key=self.key,
            token=self.token,
            server_name=self.server_name,
        )

    @classmethod
    def load(cls, directory: str | os.PathLike[str]) -> Endpoint:
        """
        Reads what `save`, `knit credentials` or a container's launch has written.

        Raises:
            CredentialsError: The directory is not there, lacks a file, or holds something else.
        """
        path = Path(directory)
        token = _read(path, "token", default=b"")
        return cls(
            application_id=_line(path, "application_id"),
            address=_line(path, "address"),
            server_name=_line(path, "server_name"),
            ca=_read(path, "ca.pem"),
            cert=_read(path, "cert.pem"),
            key=_read(path, "key.pem"),
            token=_as_line(path, "token", token) if token else None,
        )

    def save(self, directory: str | os.PathLike[str], *, replace: bool = True) -> Path:
        """
        Writes it for us alone to read: `application_id`, `address`, `server_name`, `ca.pem`,
        `cert.pem` and `key.pem`, and `token` where there is one.

        Args:
            directory: Made if it is not there (mode 0700).
            replace: Whether files of these names are replaced.

        Returns:
            The directory.

        Raises:
            FileExistsError: A file of such a name is there, and is not to be replaced; nothing
                was written.
            OSError: It cannot be written.
        """
        path = Path(directory)
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        files = {
            "application_id": self.application_id.encode(),
            "address": self.address.encode(),
            "server_name": self.server_name.encode(),
            "ca.pem": self.ca,
            "cert.pem": self.cert,
            "key.pem": self.key,
        }
        if self.token is not None:
            files["token"] = self.token.encode()
        if not replace:
            for name in (*files, "token"):
                if os.path.lexists(path / name):
                    raise FileExistsError(f"{path / name} is there already.")
        else:
            # Another one's would make of these credentials a container's.
            (path / "token").unlink(missing_ok=True)
        for name, content in files.items():
            # Made anew, for a file that was there could be open to others.
            if replace:
                (path / name).unlink(missing_ok=True)
            descriptor = os.open(path / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
        return path


def _read(directory: Path, name: str, *, default: bytes | None = None) -> bytes:
    path = directory / name
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE_BYTES + 1)
    except FileNotFoundError as error:
        if default is not None and directory.is_dir():
            return default
        there = "is no directory" if not directory.is_dir() else f"has no file {name}"
        raise CredentialsError(
            f"{directory} {there}, so it holds no credentials of an application. Whoever submitted "
            "it makes some with: knit credentials APPLICATION --role ROLE --out DIRECTORY."
        ) from error
    except OSError as error:
        raise CredentialsError(f"{path} cannot be read: {error.strerror}.") from error
    if len(content) > LARGEST_FILE_BYTES:
        raise CredentialsError(
            f"{path} has more than {LARGEST_FILE_BYTES} bytes: it is no file of credentials."
        )
    return content


def _line(directory: Path, name: str) -> str:
    return _as_line(directory, name, _read(directory, name))


def _as_line(directory: Path, name: str, content: bytes) -> str:
    text = ""
    with contextlib.suppress(UnicodeDecodeError):
        text = content.decode("ascii").strip()
    # A token or an address with anything else in it would be refused as malformed, and not say so.
    if not text or not text.isprintable() or " " in text:
        raise CredentialsError(f"{directory / name} must be one word, and is not.")
    return text
