"""Certificates and private keys: read from PEM files, checked, described.

    load_pair(certificate, key)   -> a context for a server, or ConfigurationError that says which file is wrong and why
    facts_of(der)                 -> the DNS names and the end of validity of a certificate

The names stand in the extension subjectAltName (RFC 5280, 4.2.1.6). A common name is ignored, as clients ignore it
(RFC 9525). DER is a tree of (tag, length, value); a length of 128 bytes or more has its own bytes behind 0x80 + n.
"""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from edge.support.errors import ConfigurationError, SettingFault

__all__ = ["CertificateFacts", "facts_of", "load_pair", "matches"]

_SUBJECT_ALT_NAME = bytes.fromhex("0603551d11")
_SEQUENCE, _VERSION, _EXTENSIONS, _DNS_NAME, _OCTETS = 0x30, 0xA0, 0xA3, 0x82, 0x04
_UTC_TIME = 0x17


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    names: tuple[str, ...]
    """DNS names in lower case; `*.shop.example` stands for one label."""
    ends_at: float
    """The end of validity in seconds since 1970."""


def load_pair(certificate: str, key: str, where: str) -> tuple[ssl.SSLContext, CertificateFacts]:
    """Return a server's context that shows this certificate, and what the certificate says.

    `where` is the setting that names the files, such as `listen[0]`. Raises ConfigurationError.
    """
    chain = _read(certificate, f"{where}.certificate")
    private = _read(key, f"{where}.key")
    if "PRIVATE KEY-----" not in private:
        raise _fault(f"{where}.key", f"{key} holds no private key: -----BEGIN PRIVATE KEY----- is missing")
    if "ENCRYPTED" in private:
        raise _fault(
            f"{where}.key", f"the key {key} needs a passphrase; store it without one and protect the file by its mode"
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # A client that asks to renegotiate makes the server work as for a new connection.
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    try:
        facts = facts_of(ssl.PEM_cert_to_DER_cert(_first_certificate(chain)))
    except ValueError as fault:
        raise _fault(f"{where}.certificate", f"{certificate} holds no certificate that can be read: {fault}") from None
    try:
        # An empty passphrase, because OpenSSL would ask the terminal for one.
        context.load_cert_chain(certificate, key, password=b"")
    except ssl.SSLError as fault:
        raise _fault(f"{where}.key", _why_not(fault, certificate, key)) from None
    except OSError as fault:
        raise _fault(where, f"{certificate} and {key} cannot be read: {fault.strerror}") from None
    return context, facts


def matches(name: str, pattern: str) -> bool:
    """Return whether a certificate's DNS name covers a host name (RFC 6125, 6.4.3). Both in lower case."""
    if pattern == name:
        return True
    return pattern.startswith("*.") and name.partition(".")[2] == pattern[2:] and not name.startswith(".")


def facts_of(der: bytes) -> CertificateFacts:
    """Read the names and the end of validity of an X.509 certificate. Raises ValueError if it is none."""
    try:
        [(_, certificate)] = _children(der)
        (_, signed), *_ = _children(certificate)
        fields = [(tag, value) for tag, value in _children(signed) if tag != _VERSION]
        # Serial number, signature algorithm, issuer, validity, ...
        _, (tag, ends) = _children(fields[3][1])
        names: list[str] = []
        for value in [value for tag, value in fields if tag == _EXTENSIONS]:
            names += _names(value)
    except (IndexError, TypeError) as fault:
        raise ValueError("it is not an X.509 certificate") from fault
    return CertificateFacts(tuple(names), _time(tag, ends))


def _names(extensions: bytes) -> Iterator[str]:
    [(_, listed)] = _children(extensions)
    for _, extension in _children(listed):
        if not extension.startswith(_SUBJECT_ALT_NAME):
            continue
        [value] = [value for tag, value in _children(extension) if tag == _OCTETS]
        [(_, names)] = _children(value)
        yield from (name.decode("ascii").lower() for tag, name in _children(names) if tag == _DNS_NAME)


def _children(der: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(der):
        tag, size, at = der[at], der[at + 1], at + 2
        if size >= 0x80:
            count = size - 0x80
            size, at = int.from_bytes(der[at : at + count], "big"), at + count
        if at + size > len(der):
            raise ValueError("it is cut short")
        yield tag, der[at : at + size]
        at += size


def _time(tag: int, text: bytes) -> float:
    """UTCTime has two digits of the year: 50 is 1950, 49 is 2049 (RFC 5280, 4.1.2.5.1)."""
    digits = text.decode("ascii").removesuffix("Z")
    if tag == _UTC_TIME:
        digits = ("19" if digits >= "50" else "20") + digits
    return datetime.strptime(digits, "%Y%m%d%H%M%S").replace(tzinfo=UTC).timestamp()


def _read(file: str, where: str) -> str:
    try:
        return Path(file).read_text(encoding="ascii", errors="replace")
    except OSError as fault:
        raise _fault(where, f"{file} cannot be read: {fault.strerror}") from None


def _first_certificate(text: str) -> str:
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    if begin not in text or end not in text:
        raise ValueError(f"{begin} is missing")
    return begin + text.partition(begin)[2].partition(end)[0] + end


def _why_not(fault: ssl.SSLError, certificate: str, key: str) -> str:
    reason = fault.reason or "the key or a certificate of the chain is damaged"
    # The second: one is RSA, the other is not.
    if reason in ("KEY_VALUES_MISMATCH", "NO_CERTIFICATE_ASSIGNED", "KEY_TYPE_MISMATCH"):
        return f"the key {key} does not belong to the certificate {certificate}"
    if reason in ("EE_KEY_TOO_SMALL", "CA_MD_TOO_WEAK", "CA_KEY_TOO_SMALL"):
        return f"the certificate {certificate} is too weak for today's clients ({reason})"
    return f"{certificate} and {key} cannot be used: {reason}"


def _fault(where: str, message: str) -> ConfigurationError:
    return ConfigurationError("TLS", [SettingFault(where, message)])
