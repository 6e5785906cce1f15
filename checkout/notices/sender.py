"""Send what is due in the outbox, and repeat what surely did not arrive.

Pauses between attempts: 1, 2, 4, ... 300 s, until the time of the notice is over.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping
from functools import partial

from checkout.clock import ClockMs
from checkout.errors import StoreError
from checkout.notices.channels import Channel, NotNow, Refused, Unsure
from checkout.notices.outbox import Claimed, ClaimLost, Outbox

LOG = logging.getLogger(__name__)
LOOK_EVERY_S = 0.5
AT_ONCE = 20
LONGEST_PAUSE_MS = 300_000
RESULTS = ("sent", "retried", "failed", "unsure")


class Sender:
    """`run` is a service. channels: by name."""

    def __init__(self, outbox: Outbox, channels: Mapping[str, Channel], clock: ClockMs) -> None:
        self._outbox = outbox
        self.channels = channels
        self._clock = clock
        self.results: Counter[tuple[str, str]] = Counter()
        """Attempts by channel and result (`RESULTS`)."""

    async def run(self) -> None:
        """Send for ever. A `StoreError` is logged, and it goes on."""
        while True:
            try:
                if await self.step():
                    continue
            except StoreError as error:
                LOG.warning("notices wait: %s", error)
            await asyncio.sleep(LOOK_EVERY_S)

    async def step(self) -> int:
        """Send what is due and return the number of attempts. Raises `StoreError`."""
        due = await self._outbox.claim(self._clock(), AT_ONCE)
        results = await asyncio.gather(*(self._send(claimed) for claimed in due), return_exceptions=True)
        for error in results:
            if error is not None:
                raise error
        return len(due)

    async def _send(self, claimed: Claimed) -> None:
        notice, now_ms = claimed.notice, self._clock()
        channel = self.channels.get(claimed.channel)
        if now_ms >= notice.until_ms:
            await self._finish(claimed, "failed", "its time is over")
            return
        if channel is None or not channel.wants(notice):
            await self._outbox.finish(claimed, "cancelled", "the visitor gave no address")
            return
        try:
            await channel.send(notice, partial(self._outbox.hand_over, claimed))
        except NotNow as error:
            pause_ms = min(1000 << min(claimed.tries - 1, 20), LONGEST_PAUSE_MS)
            LOG.info("notice %s by %s is sent again in %d s: %s", notice.key, channel.name, pause_ms // 1000, error)
            self.results[channel.name, "retried"] += 1
            await self._outbox.again(claimed, now_ms + pause_ms, str(error))
        except Refused as error:
            await self._finish(claimed, "failed", str(error))
        except ClaimLost:
            LOG.warning(
                "notice %s by %s took longer than its lease, and another sender has it", notice.key, channel.name
            )
        except Unsure as error:
            LOG.warning("notice %s by %s may not have arrived: %s", notice.key, channel.name, error)
            self.results[channel.name, "unsure"] += 1
        else:
            await self._finish(claimed, "sent")

    async def _finish(self, claimed: Claimed, state: str, cause: str = "") -> None:
        self.results[claimed.channel, state] += 1
        if cause:
            LOG.warning("notice %s by %s: %s", claimed.notice.key, claimed.channel, cause)
        await self._outbox.finish(claimed, state, cause)
