"""From the events of the bus to the notices of the outbox. Safe to repeat: a notice is planned under its key once.

It is the consumer of the group `notices` of the topic `sales`.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from checkout.bus.bus import Message
from checkout.bus.opening import event_of
from checkout.clock import ClockMs
from checkout.engines.rows import hold_after
from checkout.notices.notice import (
    WISHES_PER_UNIT,
    Notice,
    back_in_stock,
    ending_key,
    ends_reminder,
    has_come_back,
    hold_ending,
    order_confirmed,
    turn_near,
)
from checkout.notices.outbox import Outbox
from checkout.sale_list import SaleList
from checkout.values import Event, Hold, Sale, State

GROUP = "notices"
STOCK, TURN = "stock", "turn"
STALE_MS = 60_000
"""An older "back in stock" is not told any more: the unit has gone since, or another event has followed."""
AT_ONCE = 1000
"""Wishes that one transaction turns into notices."""

Terms = Callable[[Hold], Awaitable[Sale | None]]
"""Returns the terms of a hold's sale, with the price of this unit."""


class Planner:
    """`apply` is what the consumer does with messages. channels: names of the channels that send."""

    def __init__(
        self, outbox: Outbox, sales: SaleList, terms: Terms, channels: Sequence[str], lead_ms: int, clock: ClockMs
    ) -> None:
        """terms: what a hold costs. lead_ms: how long before its end a hold is reminded of."""
        self._outbox = outbox
        self._sales = sales
        self._terms = terms
        self._channels = channels
        self._lead_ms = lead_ms
        self._clock = clock

    async def apply(self, messages: Sequence[Message]) -> None:
        """Plan what these events ask for, and end the reminders that nobody needs. Raises `StoreError`."""
        events = [event_of(message) for message in messages]
        if not self._channels:
            return
        addresses = await self._outbox.contacts([event.user for event in events])
        notices, over = list[Notice](), list[str]()
        for event in events:
            if ends_reminder(event):
                over.append(ending_key(event.hold))
            notices += await self._notices(event, addresses.get(event.user, ""))
            if has_come_back(event):
                await self._tell_stock(event)
        now_ms = self._clock()
        await self._outbox.add([notice for notice in notices if notice.until_ms > now_ms], self._channels)
        await self._outbox.cancel(over, self._channels)

    async def tell_turn(self, sale_id: str, at_ms: int) -> int:
        """Plan a notice that the line moves for each visitor that asked. Return their number. Raises `StoreError`."""
        sale = await self._sales.find(sale_id)
        if sale is None or not self._channels:
            return 0
        make = partial(turn_near, sale, at_ms=at_ms)
        total = 0
        while count := await self._outbox.fulfil(TURN, sale.id, AT_ONCE, self._channels, make):
            total += count
        return total

    async def _notices(self, event: Event, address: str) -> list[Notice]:
        if event.kind not in (State.SOLD, State.HELD):
            return []
        sale = await self._terms(hold_after(None, event))
        if sale is None:
            return []
        if event.kind == State.SOLD:
            return [order_confirmed(event, sale, address)]
        return [hold_ending(event, sale, address, self._lead_ms)]

    async def _tell_stock(self, event: Event) -> None:
        sale = await self._sales.find(event.sale)
        if sale is None or self._clock() - event.at_ms > STALE_MS:
            return
        make = partial(back_in_stock, event, sale)
        await self._outbox.fulfil(STOCK, sale.id, event.free * WISHES_PER_UNIT, self._channels, make)
