"""A self-signed certificate for a demo or a test, made by OpenSSL."""

import asyncio
from pathlib import Path

from edge.support.errors import EdgeError

__all__ = ["make_certificate"]


async def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Write tls.crt and tls.key for localhost into a folder; return their paths. Raises EdgeError."""
    certificate, key = folder / "tls.crt", folder / "tls.key"
    arguments = (
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30"),
        *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
        *("-keyout", str(key), "-out", str(certificate)),
    )
    try:
        process = await asyncio.create_subprocess_exec(
            "openssl", *arguments, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
        )
    except FileNotFoundError:
        raise EdgeError("openssl is not installed; get it by: apt-get install openssl") from None
    _, fault = await process.communicate()
    if process.returncode:
        raise EdgeError(f"openssl could not make a certificate: {fault.decode(errors='replace')}")
    # Some load balancers want both in one file.
    (folder / "tls.pem").write_bytes(certificate.read_bytes() + key.read_bytes())
    return certificate, key
