"""The shoppers of the demo buy from the catalogue without the line, so its best sellers move."""

import asyncio
import random
from pathlib import Path

import aiohttp

from checkout.tasks import background
from edge.cli.demo.shop import running_shop
from edge.cli.demo.shoppers import Shoppers
from tests.edge.running import DEADLINE_S

CATALOGUE = Path(__file__).parents[3] / "configs" / "catalogue.yaml"


async def test_shoppers_make_best_sellers() -> None:
    """They buy several products, and none of the line's."""
    async with running_shop(10, 100.0, 0.0, CATALOGUE) as url, aiohttp.ClientSession(url) as session:
        shoppers = Shoppers(url, random.Random(1), rate=20.0, look_s=(0.0, 0.02))
        async with background(shoppers.play()), asyncio.timeout(DEADLINE_S):
            while True:
                async with session.get("/api/best-sellers") as answer:
                    rows = await answer.json()
                if len(rows) >= 3:
                    break
                await asyncio.sleep(0.1)
        assert "launch" not in [row["sale"] for row in rows]
        async with session.get("/best-sellers") as answer:
            assert rows[0]["title"] in await answer.text()
