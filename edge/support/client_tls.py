"""The TLS client for servers of the upstream: the authorities that it trusts, and the certificate that it shows."""

import ssl

from edge.support.errors import ConfigurationError, SettingFault

__all__ = ["client_context"]


def client_context(ca_file: str | None, certificate: str | None, key: str | None) -> ssl.SSLContext:
    """Return the client. ca_file: None trusts the system's authorities. certificate: None shows none. key: None if it
    is in the certificate's file.

    Raises ConfigurationError if a file cannot be read, or if the key does not belong to the certificate.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as fault:
        raise _fault("ca_file", ca_file, fault, "holds no certificate of an authority (PEM)") from None
    if certificate is not None:
        try:
            # An empty passphrase, because OpenSSL would ask the terminal for one.
            context.load_cert_chain(certificate, key, password=b"")
        except OSError as fault:
            wrong = "holds no certificate with its key, or the key belongs to another one (PEM, without passphrase)"
            raise _fault("client_certificate", certificate, fault, wrong) from None
    return context


def _fault(name: str, file: str | None, fault: OSError, wrong: str) -> ConfigurationError:
    """Return the error. wrong: what is wrong with the content of a file that can be read."""
    why = wrong if isinstance(fault, ssl.SSLError) or not fault.strerror else f"cannot be read: {fault.strerror}"
    return ConfigurationError("settings", [SettingFault(f"upstream.tls.{name}", f"{file} {why}")])
