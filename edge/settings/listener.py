"""One address that the edge listens on: `listen[n]`, and the same form for other listeners.

    "tcp://0.0.0.0:8080"                                                      HTTP
    {url: "tls://0.0.0.0:8443", certificate: tls.crt, key: tls.key}           HTTPS
    {url: "unix:///run/stanchion/edge.sock", mode: "0660", owner: "www-data"} HTTP over a socket file
    {url: "systemd://web"}                                                    a socket that systemd opened

A text alone is short for a mapping with `url`. Files are read elsewhere (`edge/support/certificates.py`).
"""

import re
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from edge.settings.values import Section, is_port

__all__ = ["CertificateFiles", "Listener", "ListenerSettings"]

#: The longest path of a socket file (`sun_path` holds 108 bytes, with the NUL behind).
LONGEST_PATH = 107
#: Of a socket file: its owner and group may connect.
DEFAULT_MODE = "0660"


def _listener_url(text: str) -> str:
    scheme, _, rest = text.partition("://")
    if scheme in ("tcp", "tls"):
        if re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^\[\]/:@\s]+):\d{1,5}", rest) and is_port(rest.rpartition(":")[2]):
            return text
        raise ValueError(f"must look like {scheme}://HOST:PORT (for IPv6 {scheme}://[::1]:8080), got {text!r}")
    if scheme == "unix":
        if re.fullmatch(r"/[^\0\s]*[^/\0\s]", rest) and len(rest.encode()) <= LONGEST_PATH:
            return text
        raise ValueError(
            f"must look like unix:///PATH/OF/SOCKET, an absolute path of at most {LONGEST_PATH} bytes, got {text!r}"
        )
    if scheme == "systemd":
        if re.fullmatch(r"[!-9;-~]{1,255}", rest):
            return text
        raise ValueError(f"must look like systemd://NAME, with the FileDescriptorName of the socket, got {text!r}")
    raise ValueError(
        "must look like tcp://HOST:PORT (also: tls://HOST:PORT, unix:///PATH, systemd://NAME; "
        f"for IPv6 tcp://[::1]:8080), got {text!r}"
    )


FilePath = Annotated[str, Field(min_length=1)]


class CertificateFiles(Section):
    """PEM files: the certificate with its chain, and its private key without a passphrase."""

    certificate: FilePath
    key: FilePath

    def anchored(self, folder: Path) -> "CertificateFiles":
        """Return the same with absolute paths. A relative path starts at `folder`."""
        return CertificateFiles(certificate=str(folder / self.certificate), key=str(folder / self.key))


class ListenerSettings(Section):
    url: Annotated[str, AfterValidator(_listener_url)]
    certificate: FilePath | None = None
    key: FilePath | None = None
    more_certificates: Annotated[tuple[CertificateFiles, ...], Field(strict=False)] = ()
    proxy_protocol: bool = False
    mode: Annotated[str, Field(pattern=r"^0?[0-7]{3}$")] = DEFAULT_MODE
    owner: Annotated[str, Field(pattern=r"^([A-Za-z0-9_.-]+)?(:[A-Za-z0-9_.-]+)?$", min_length=1)] | None = None

    @model_validator(mode="after")
    def _fits_its_scheme(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together: name both files or none")
        if self.scheme == "tls" and self.certificate is None:
            raise ValueError(f"{self.url} needs certificate and key: the PEM files that TLS begins with")
        if self.scheme not in ("tls", "systemd") and self.certificate is not None:
            raise ValueError(f"{self.url} speaks plain HTTP; a listener with a certificate begins with tls://")
        if self.more_certificates and self.certificate is None:
            raise ValueError("more_certificates needs certificate and key: the pair for all other names")
        if self.scheme != "unix" and (self.mode != DEFAULT_MODE or self.owner is not None):
            raise ValueError("mode and owner are those of a socket file, so for unix:// only")
        return self

    @property
    def scheme(self) -> str:
        """'tcp', 'tls', 'unix' or 'systemd'."""
        return self.url.partition("://")[0]

    @property
    def target(self) -> str:
        """What stands behind the scheme: HOST:PORT, a path, or a name."""
        return self.url.partition("://")[2]

    @property
    def host(self) -> str:
        """The host of tcp:// and tls://, '' for others."""
        return urlsplit(self.url).hostname or "" if self.scheme in ("tcp", "tls") else ""

    @property
    def port(self) -> int | None:
        """The port of tcp:// and tls://, None for others."""
        return int(self.target.rpartition(":")[2]) if self.scheme in ("tcp", "tls") else None

    @property
    def certificates(self) -> tuple[CertificateFiles, ...]:
        """All pairs of files, the one for unknown names first; empty without TLS."""
        if self.certificate is None or self.key is None:
            return ()
        return (CertificateFiles(certificate=self.certificate, key=self.key), *self.more_certificates)

    @property
    def is_secure(self) -> bool:
        """Whether connections begin with TLS."""
        return self.certificate is not None

    @property
    def bound(self) -> tuple[object, ...]:
        """What cannot change while the socket is open. Certificates can."""
        return self.url, self.is_secure, self.proxy_protocol, self.mode, self.owner

    def anchored(self, folder: Path) -> "ListenerSettings":
        """Return the same with absolute paths of the files. A relative path starts at `folder`."""
        if self.certificate is None or self.key is None:
            return self
        first, *more = (pair.anchored(folder) for pair in self.certificates)
        return self.model_copy(
            update={"certificate": first.certificate, "key": first.key, "more_certificates": tuple(more)}
        )


def _as_mapping(given: Any) -> Any:
    return {"url": given} if isinstance(given, str) else given


#: The type of a setting that is a listener: a URL, or a mapping.
Listener = Annotated[ListenerSettings, BeforeValidator(_as_mapping)]
