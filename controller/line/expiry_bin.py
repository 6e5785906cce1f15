"""What ends together in a lease book (`leases.py`)."""

from array import array

__all__ = ["ExpiryBin"]


class ExpiryBin:
    """The leases that end in the same `BIN_S`."""

    __slots__ = ("appointed", "left", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        # first_seen of the leases that were to end in it. Arrays, because objects would be scattered over memory.
        self.appointed = array("d")
        # first_seen of the leases that were moved or removed. A lease that returns is once more in both.
        self.left = array("d")

    def __repr__(self) -> str:
        return f"<ExpiryBin {self.number} of {len(self.appointed) - len(self.left)}>"
