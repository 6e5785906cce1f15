"""Why a cookie is not accepted."""

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Rejected", "Rejection"]


class Rejection(StrEnum):
    """Why a cookie was not accepted; the values are metric labels."""

    MALFORMED = "malformed"
    OVERSIZED = "oversized"
    DUPLICATED = "duplicated"
    SIGNATURE = "signature"
    ROOM = "room"
    FUTURE = "future"
    EXPIRED = "expired"
    USED = "used"


@dataclass(frozen=True, slots=True)
class Rejected:
    reason: Rejection
