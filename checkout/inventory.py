"""The inventory: the few things that can happen to stock, each decided and durable when its call returns."""

from collections.abc import Callable

from checkout.engines.engine import Engine
from checkout.values import (
    Command,
    Confirm,
    Done,
    Expire,
    Hold,
    Look,
    Money,
    OpenSale,
    Outcome,
    Pay,
    Release,
    Reserve,
    Sale,
    Settle,
    State,
    Stock,
)
from checkout.writer import Writer

Seen = Callable[[str, Stock], None]


class Inventory:
    """All of the shop changes stock through here. Every method may raise `StoreError`."""

    def __init__(self, engine: Engine, writer: Writer, seen: Seen | None = None) -> None:
        """`seen` hears the numbers of every outcome, so that what this process knows is never older than
        that.
        """
        self.engine = engine
        self._writer = writer
        self._seen = seen or (lambda _sale, _stock: None)

    async def _submit(self, command: Command, sale: str = "") -> Outcome:
        outcome = await self._writer.submit(command)
        if outcome.stock.version:
            self._seen(sale or (outcome.hold.sale if outcome.hold else ""), outcome.stock)
        return outcome

    async def open(self, sale: Sale, actor: str = "operator") -> Outcome:
        return await self._submit(OpenSale(sale, actor), sale.id)

    async def reserve(self, sale: str, user: str, hold: str, key: str = "", fingerprint: str = "") -> Outcome:
        return await self._submit(Reserve(sale, user, hold, key, fingerprint), sale)

    async def pay(self, hold: str, key: str = "", fingerprint: str = "") -> Outcome:
        return await self._submit(Pay(hold, key, fingerprint))

    async def confirm(self, hold: str, charge: str, actor: str = "cashier") -> Outcome:
        return await self._submit(Confirm(hold, charge, actor))

    async def cancel(self, hold: str, actor: str = "user") -> Outcome:
        return await self._submit(Release(hold, State.CANCELLED, actor))

    async def payment_failed(self, hold: str, cause: str, actor: str = "cashier") -> Outcome:
        return await self._submit(Release(hold, State.PAYMENT_FAILED, actor, cause))

    async def settle(self, hold: str, money: Money, charge: str = "", actor: str = "cashier") -> Outcome:
        return await self._submit(Settle(hold, money, charge, actor))

    async def expire(self, hold: str, actor: str) -> Outcome:
        return await self._submit(Expire(hold, actor))

    async def stock(self, sale: str) -> Stock | None:
        """The numbers of a sale, or None when there is no such sale."""
        outcome = await self._submit(Look(sale), sale)
        return outcome.stock if isinstance(outcome, Done) else None

    async def find(self, hold: str) -> Hold | None:
        return await self.engine.hold(hold)
