"""Whether an address in a shop's template or style sheet can be loaded: from this host, or from an allowed origin."""

from urllib.parse import urlsplit

from edge.settings.sources import SourceSettings

__all__ = ["fault_in_address"]


def fault_in_address(address: str, use: str, sources: SourceSettings) -> str | None:
    """Return why the page could not load an address, or None. use: the list in `page.sources` that would allow it."""
    address = address.strip()
    if not address:
        return "an address is empty"
    if address.startswith("#"):
        return None
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        return f"{address} is not an address"
    if host:
        scheme = parts.scheme or "https"
        if scheme not in ("http", "https"):
            return f"{address} cannot be loaded: only http and https can be allowed"
        if any(_covers(origin, scheme, host, port) for origin in getattr(sources, use)):
            return None
        named = f"{host}:{port}" if port else host
        return (
            f"{address} is an outside resource: a page loads files of its own host only. Put the file there, or "
            f"allow it by page.sources.{use}: [{scheme}://{named}]"
        )
    if parts.scheme == "data":
        return f"{address[:30]}... cannot be loaded, because the page's policy allows no data in addresses: use a file"
    if parts.scheme:
        return f"{address} cannot be loaded: {parts.scheme}: is not allowed"
    if not address.startswith("/"):
        return f"{address} is relative, and the page has many addresses: begin with / (/{address.lstrip('./')})"
    return None


def _covers(origin: str, scheme: str, host: str, port: int | None) -> bool:
    """Return whether an origin of the settings is that of an address (CSP 3, 6.7.2.8)."""
    named = urlsplit(origin.replace("://*.", "://wildcard."))
    named_host = (named.hostname or "").lower()
    usual = {"http": 80, "https": 443}
    if (named.port or usual.get(named.scheme)) != (port or usual.get(scheme)) or named.scheme != scheme:
        return False
    if named_host.startswith("wildcard."):
        return host.lower().endswith(named_host.removeprefix("wildcard"))
    return host.lower() == named_host
