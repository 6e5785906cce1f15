"""The limits and times that the proxy works by, read from the settings once a reload.

Plain typed attributes: the settings are a pydantic model, and reading a field of it costs the compiled form a look-up
by name.
"""

from edge.settings.model import Settings

__all__ = ["ProxyLimits"]


class ProxyLimits:
    """Times are seconds, sizes are bytes."""

    __slots__ = (
        "body_buffer_bytes",
        "body_bytes",
        "body_bytes_per_second",
        "body_s",
        "first_look_s",
        "head_bytes",
        "head_s",
        "idle_s",
        "keepalive_s",
        "requests_per_connection",
        "response_s",
        "serve_half_closed",
        "write_s",
    )

    def __init__(self, settings: Settings) -> None:
        limits, upstream = settings.limits, settings.upstream
        self.head_bytes: int = limits.head_bytes
        self.head_s: float = limits.head_seconds
        self.body_bytes: int = limits.body_bytes
        self.body_buffer_bytes: int = limits.body_buffer_bytes
        self.body_bytes_per_second: float = limits.body_bytes_per_second
        self.body_s: float = limits.body_seconds
        self.write_s: float = limits.write_seconds
        self.keepalive_s: float = limits.keepalive_seconds
        self.first_look_s: float = min(limits.keepalive_seconds, limits.write_seconds)
        """From a response to the first look at the idle connection: by then the response must have been taken."""
        self.requests_per_connection: int = limits.requests_per_connection
        self.serve_half_closed: bool = limits.serve_half_closed
        self.response_s: float = upstream.response_timeout_seconds
        self.idle_s: float = upstream.idle_timeout_seconds
