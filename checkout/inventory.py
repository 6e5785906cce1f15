"""The inventory: one method for each change of stock. When a method returns, its outcome is durable."""

from collections.abc import Callable

from checkout.engines.engine import Engine
from checkout.values import (
    Command,
    Confirm,
    Done,
    Expire,
    Hold,
    Money,
    OpenSale,
    Outcome,
    Pay,
    ReadStock,
    Release,
    Reserve,
    Sale,
    Settle,
    State,
    Stock,
)
from checkout.writer import Writer

OnStockChange = Callable[[str, Stock], None]


class Inventory:
    """The only way by which the shop changes stock. Every method may raise `StoreError`."""

    def __init__(self, engine: Engine, writer: Writer, on_stock_change: OnStockChange | None = None) -> None:
        """on_stock_change: called with the numbers of every outcome, so that this process's cache is not older."""
        self.engine = engine
        self._writer = writer
        self._on_stock_change = on_stock_change or (lambda _sale, _stock: None)

    async def _submit(self, command: Command, sale: str = "") -> Outcome:
        outcome = await self._writer.submit(command)
        if outcome.stock.version:
            self._on_stock_change(sale or (outcome.hold.sale if outcome.hold else ""), outcome.stock)
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
        """Return the numbers of a sale, or None if there is no such sale."""
        outcome = await self._submit(ReadStock(sale), sale)
        return outcome.stock if isinstance(outcome, Done) else None

    async def find(self, hold: str) -> Hold | None:
        return await self.engine.hold(hold)
