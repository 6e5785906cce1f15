"""A response of the shop that did not pass the edge, as a load balancer or the shop itself reports it."""

from dataclasses import dataclass

__all__ = ["ShopResponse"]


@dataclass(frozen=True, slots=True)
class ShopResponse:
    """seconds: from the request to the head of the response. stated: the response's `Stanchion-*` fields."""

    room: str
    """The `X-Stanchion-Room` of the request, '' outside of rooms."""
    ticket: str
    """The `X-Stanchion-Ticket` of the request."""
    admitted_at: float
    """The `X-Stanchion-Admitted-At` of the request; wall clock, seconds."""
    method: str
    status: int
    seconds: float
    stated: tuple[tuple[str, str], ...]
