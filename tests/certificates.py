"""Certificates for tests, made by the `openssl` program."""

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Pair", "authority", "certificate", "client_context", "expired_certificate"]


@dataclass(frozen=True)
class Pair:
    certificate: Path
    key: Path

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context

    @property
    def setting(self) -> str:
        return f'certificate: "{self.certificate}", key: "{self.key}"'


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def certificate(folder: Path, name: str, *names: str, signed_by: Pair | None = None, rsa: bool = False) -> Pair:
    """Make `name`.crt and `name`.key. names: DNS names or `IP:...`; by default the name itself."""
    pair = Pair(folder / f"{name}.crt", folder / f"{name}.key")
    kind = ["rsa:2048"] if rsa else ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    said = ",".join(each if ":" in each else f"DNS:{each}" for each in names or (name,))
    signer = ["-CA", str(signed_by.certificate), "-CAkey", str(signed_by.key)] if signed_by else []
    _openssl(
        *("req", "-x509", "-newkey", *kind, "-nodes", "-days", "3", "-subj", f"/CN={name}"),
        *("-keyout", str(pair.key), "-out", str(pair.certificate), "-addext", f"subjectAltName={said}"),
        *("-addext", "basicConstraints=critical,CA:FALSE"),
        *signer,
    )
    return pair


#: For `openssl ca`, which alone makes certificates for any time.
CA_SETTINGS = """
[ca]
default_ca = own
[own]
database = {folder}/index
new_certs_dir = {folder}
rand_serial = yes
default_md = sha256
copy_extensions = copy
policy = any
[any]
commonName = supplied
"""


def expired_certificate(folder: Path, name: str, names: str, signed_by: Pair) -> Pair:
    """Make an expired certificate. names: as `IP:127.0.0.1,DNS:shop.example`."""
    pair = Pair(folder / f"{name}.crt", folder / f"{name}.key")
    request, settings = folder / f"{name}.csr", folder / f"{name}.cnf"
    settings.write_text(CA_SETTINGS.format(folder=folder))
    (folder / "index").touch()
    _openssl(
        *("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}"),
        *("-keyout", str(pair.key), "-out", str(request), "-addext", f"subjectAltName={names}"),
    )
    _openssl(
        *("ca", "-batch", "-config", str(settings), "-cert", str(signed_by.certificate)),
        *("-keyfile", str(signed_by.key), "-in", str(request), "-out", str(pair.certificate), "-notext"),
        *("-startdate", "20200101000000Z", "-enddate", "20210101000000Z"),
    )
    return pair


def authority(folder: Path, name: str = "authority") -> Pair:
    """Make a certificate authority: `signed_by` for others, and what clients trust."""
    pair = Pair(folder / f"{name}.crt", folder / f"{name}.key")
    _openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3"),
        *("-subj", f"/CN={name}", "-keyout", str(pair.key), "-out", str(pair.certificate)),
        *("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign"),
    )
    return pair


def client_context(trusted: Pair, *protocols: str) -> ssl.SSLContext:
    """Return what a client that trusts this authority, or this very certificate, connects with."""
    context = ssl.create_default_context(cafile=str(trusted.certificate))
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context
