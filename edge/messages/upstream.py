"""Messages about the upstream's servers: what visitors' requests met there, and which servers are down.

    worker -> supervisor     ServerOutcomes   while requests to a server fail, or after the supervisor asked for answers
    supervisor -> worker     ServersState     at every change, and after every `Configure`
    machine -> machines      ServerNews       when a server goes down or comes back, as this machine sees it

Servers are named by their address in the settings.
"""

from msgspec import Struct

__all__ = ["Outcome", "ServerNews", "ServerOutcomes", "ServersState"]


class Outcome(Struct, frozen=True):
    """What requests to one server met since the last message."""

    failures: int = 0
    """Failed requests in a row, counted from the last response that was none."""
    unconnected: int = 0
    """Those of them that got no connection."""
    answered: bool = False
    """A response other than 502, 503 and 504 came."""
    is_silent: bool = False
    """Requests wait, and no response came for a while."""
    reason: str = ""
    """Why the last one failed."""


class ServerOutcomes(Struct, frozen=True, tag=True):
    """By server: what the requests of one worker met since its last message."""

    by_server: dict[str, Outcome]


class ServersState(Struct, frozen=True, tag=True):
    """down: by server, why it is down. All other servers are up.

    suspected: servers of which a worker reports the next response.
    """

    down: dict[str, str]
    suspected: tuple[str, ...] = ()


class ServerNews(Struct, frozen=True, tag=True):
    """A machine sees that a server is down, or up again. The others look for themselves."""

    server: str
    is_up: bool
