"""Shoppers of the demo: they browse the catalogue and buy what needs no line, so that the best sellers move.

list ──▶ a product, the first ones more often ──▶ cart ──▶ checkout
"""

import asyncio
import html
import random
import re

import aiohttp

__all__ = ["Shoppers"]

#: Few shoppers, so that the checkout keeps its capacity for the line.
RATE = 0.4
LOOK_S = (0.3, 2.0)
LINK = re.compile(r'href="/products/([a-z0-9-]+)"')
CHOICE = re.compile(r'name="sku" value="([a-z0-9-]+)" required(?! disabled)')
HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)"')
PAGE = {"Accept": "text/html"}


class Shoppers:
    """`play` runs for ever. chance: seeded for shoppers that can be repeated. rate: shoppers a second.

    look_s: the time that a person looks at a page, seconds: least and most.
    """

    def __init__(
        self, address: str, chance: random.Random, *, rate: float = RATE, look_s: tuple[float, float] = LOOK_S
    ) -> None:
        self._address = address
        self._chance = chance
        self._rate = rate
        self._look_s = look_s

    async def play(self) -> None:
        async with asyncio.TaskGroup() as group:
            while True:
                await asyncio.sleep(self._chance.expovariate(self._rate))
                group.create_task(self._shop(), name="shopper")

    async def _shop(self) -> None:
        """Play one shopper, with cookies of their own. A connection that breaks sends the shopper home."""
        connector, cookies = aiohttp.TCPConnector(ssl=False), aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(cookie_jar=cookies, connector=connector, headers=PAGE) as session:
            try:
                await self._buy(session)
            except (aiohttp.ClientError, TimeoutError):
                return

    async def _buy(self, session: aiohttp.ClientSession) -> None:
        sort = self._chance.choice(["newest", "price", "sales_7d"])
        names = list(dict.fromkeys(LINK.findall(await self._get(session, f"/products?sort={sort}"))))
        if not names:
            return
        # The first products of a list are looked at most.
        name = names[min(int(self._chance.expovariate(0.2)), len(names) - 1)]
        choices = CHOICE.findall(page := await self._get(session, f"/products/{name}"))
        if not choices or 'href="/checkout"' in page:
            return
        form = {"product": name, "sku": self._chance.choice(choices), "units": str(self._chance.choice([1, 1, 1, 2]))}
        await self._post(session, "/cart/lines", form)
        fields = HIDDEN.findall(await self._get(session, "/cart/checkout"))
        hidden = {field: html.unescape(value) for field, value in fields}
        await self._post(session, "/cart/checkout", {**hidden, "name": "Shopper", "card": "4242 4242 4242 4242"})

    async def _get(self, session: aiohttp.ClientSession, path: str) -> str:
        await asyncio.sleep(self._chance.uniform(*self._look_s))
        async with session.get(self._address + path) as response:
            return await response.text()

    async def _post(self, session: aiohttp.ClientSession, path: str, form: dict[str, str]) -> None:
        await asyncio.sleep(self._chance.uniform(*self._look_s))
        async with session.post(self._address + path, data=form) as response:
            await response.read()
