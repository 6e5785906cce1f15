"""The types of single settings: each is a plain Python type with its rule and the error text of that rule.

All keys of one type therefore refuse the same values with the same words. Every mapping of the file is read into a
`Section`.
"""

import ipaddress
import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from edge.support.client_fields import ends_here, is_passable
from edge.support.paths import PathPattern

__all__ = [
    "ClientField",
    "HostName",
    "ListenAddress",
    "Network",
    "Origin",
    "PathText",
    "PositiveSeconds",
    "Rate",
    "RedisUrl",
    "RequestPath",
    "Seconds",
    "Section",
    "Text",
    "UpstreamUrl",
    "VariableName",
    "is_port",
]

Seconds = Annotated[float, Field(ge=0, le=86_400 * 30, allow_inf_nan=False)]
PositiveSeconds = Annotated[float, Field(gt=0, le=86_400 * 30, allow_inf_nan=False)]
Rate = Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False)]
#: A host name or an address, as in `Host`, without a port.
HostName = Annotated[str, Field(pattern=r"^([A-Za-z0-9_]([A-Za-z0-9._-]{0,253})?|[0-9A-Fa-f:.]{2,45})$")]
#: The name of an environment variable.
VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


def is_port(text: str) -> bool:
    """Return whether the text is the number of a TCP port, 0 included."""
    return re.fullmatch(r"\d{1,5}", text) is not None and int(text) <= 65_535


def _listen_address(text: str) -> str:
    if not re.fullmatch(r"tcp://(\[[0-9a-fA-F:.]+\]|[^\[\]/:@\s]+):\d{1,5}", text) or not is_port(
        text.rsplit(":", 1)[1]
    ):
        raise ValueError(f"must look like tcp://HOST:PORT (for IPv6 tcp://[::1]:8080), got {text!r}")
    return text


def _upstream_url(text: str) -> str:
    if text.startswith("unix:"):
        if not re.fullmatch(r"unix:///[!-~]{1,99}", text) or text.endswith("/"):
            raise ValueError(f"must look like unix:///PATH of a socket (at most 100 characters), got {text!r}")
        return text
    error = ValueError(f"must look like http://HOST:PORT, got {text!r}")
    try:
        parts = urlsplit(text)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise error from None
    if not is_address:
        raise error
    if parts.username or parts.password or parts.query or parts.fragment or parts.path not in ("", "/"):
        raise ValueError(
            f"must hold scheme, host and port only (the edge passes paths through unchanged), got {text!r}"
        )
    return text.rstrip("/")


def _redis_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("redis", "rediss", "unix") or not (parts.hostname or parts.path):
        raise ValueError("must look like redis://HOST:PORT/DATABASE (rediss:// for TLS, unix:///PATH for a socket)")
    if parts.password:
        raise ValueError(
            "must not hold a password: put it into an environment variable and name that in redis_password_env"
        )
    return text


def _network(text: str) -> str:
    try:
        ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(f"must be an address or a CIDR range such as 10.0.0.0/8: {error}") from None
    return text


def _origin(text: str) -> str:
    if not re.fullmatch(
        r"[A-Za-z][A-Za-z0-9+.-]*://(\*\.)?([A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?", text
    ):
        raise ValueError(
            f"must be an origin as browsers send it, such as https://app.shop.example or https://*.shop.example, got"
            f" {text!r}"
        )
    return text


def _path_pattern(text: str) -> str:
    PathPattern.parse(text)
    return text


def _request_path(text: str) -> str:
    if not re.fullmatch(r"/[!-~]*", text) or "#" in text:
        raise ValueError(f"must be a path of the upstream such as /stock, with or without a query, got {text!r}")
    return text


def _client_field(text: str) -> str:
    if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", text):
        raise ValueError(f"must be the name of a header field, got {text!r}")
    low = text.lower().encode()
    if is_passable(low):
        return text
    if ends_here(low):
        raise ValueError(f"{text} can only come from the edge itself")
    raise ValueError(f"{text} does not end at the edge, so it needs no entry")


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("must be text, but holds half of a surrogate pair") from None
    return text


ClientField = Annotated[str, AfterValidator(_client_field)]
Text = Annotated[str, AfterValidator(_encodable)]
ListenAddress = Annotated[str, AfterValidator(_listen_address)]
UpstreamUrl = Annotated[str, AfterValidator(_upstream_url)]
RedisUrl = Annotated[str, AfterValidator(_redis_url)]
Network = Annotated[str, AfterValidator(_network)]
Origin = Annotated[str, AfterValidator(_origin)]
PathText = Annotated[str, AfterValidator(_path_pattern)]
RequestPath = Annotated[str, AfterValidator(_request_path)]


class Section(BaseModel):
    """A frozen part of the settings. Unknown keys and values of another type are faults; nothing is converted."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
