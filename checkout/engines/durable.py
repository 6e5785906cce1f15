"""When an outcome of Redis may be told to a client: after a copy that survives the loss of this Redis.

Unconfirmed       at once: Redis alone. For tests and measurements of the store; a shop does not start like this.
OrdersWatch       when the forwarder has committed the batch in PostgreSQL (`checkout/orders_watch.py`)
"""

from abc import ABC, abstractmethod

from checkout.engines.epoch import Position


class DurableCopy(ABC):
    """Waits for the second copy of what Redis has decided."""

    @abstractmethod
    def require(self) -> None:
        """Raise `StoreError` if no copy can be made at present, so that nothing is decided in vain."""

    @abstractmethod
    async def wait(self, position: Position, /) -> None:
        """Return when everything up to this position is durable elsewhere. Raises `StoreError`."""


class Unconfirmed(DurableCopy):
    """Redis is the only copy."""

    def require(self) -> None:
        """There is nothing to wait for."""

    async def wait(self, _position: Position) -> None:
        """There is nothing to wait for."""
