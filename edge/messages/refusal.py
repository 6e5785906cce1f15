"""Why a request is not served, as a value."""

from dataclasses import dataclass

__all__ = ["Refusal"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A status (4xx, 501 or 505) and the reason that the client is told."""

    status: int
    detail: str
