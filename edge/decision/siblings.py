"""Siblings: the first requests that the script of one page sends at once, before its browser has a cookie.

Each of them would get a place, and the browser keeps the cookie of the last answer only. So a first request by a script
joins the place of one before it if all of this holds:

    the same address, User-Agent, language, host, room and page (`Referer`), within WINDOW_S
    another address or method than all requests that joined that place before

A page asks each address once. If one is asked twice, two visitors open the same page behind one address (NAT): then
nobody joins anybody until the time is over, and each gets a place. Navigations never join. So two visitors share a
place only if their pages ask different addresses first, from one network, with one kind of browser, within a second;
and one page has several places if its requests reach several workers.
"""

from collections import OrderedDict
from typing import Final

from edge.decision.visits import is_navigation
from edge.messages.head import RequestHead
from waiting_room.ticket import Ticket

__all__ = ["Siblings"]

WINDOW_S: Final = 1.0
#: Pages that are remembered at once. Beyond that the oldest is forgotten.
MOST: Final = 4096

Key = tuple[str, str, str, str, str, str]


class _Page:
    __slots__ = ("asked", "at", "is_ambiguous", "ticket")

    def __init__(self, at: float, ticket: Ticket) -> None:
        self.at = at
        self.ticket = ticket
        self.asked: set[tuple[str, str]] = set()
        self.is_ambiguous = False


class Siblings:
    """One node's."""

    def __init__(self) -> None:
        self._pages: OrderedDict[Key, _Page] = OrderedDict()

    def __len__(self) -> int:
        return len(self._pages)

    def ticket(self, head: RequestHead, room: str, now: float) -> Ticket | None:
        """Return the ticket that a first request joins, or None if it is a visitor of its own."""
        key = _key(head, room)
        if key is None:
            return None
        self._forget(now)
        page = self._pages.get(key)
        if page is None or page.is_ambiguous:
            return None
        if not _note(page, head):
            return None
        return page.ticket

    def add(self, head: RequestHead, ticket: Ticket, now: float) -> None:
        """Let the next requests of the same page join the ticket that this one got."""
        key = _key(head, ticket.room)
        if key is None or key in self._pages:
            return
        page = self._pages[key] = _Page(now, ticket)
        _note(page, head)
        if len(self._pages) > MOST:
            self._pages.popitem(last=False)

    def _forget(self, now: float) -> None:
        pages = self._pages
        while pages and not 0.0 <= now - next(iter(pages.values())).at < WINDOW_S:
            pages.popitem(last=False)


def _note(page: _Page, head: RequestHead) -> bool:
    """Add a request to a page. Return False if the page has asked for it: then there are two pages."""
    asked = head.method, head.target
    page.is_ambiguous = asked in page.asked
    page.asked.add(asked)
    return not page.is_ambiguous


def _key(head: RequestHead, room: str) -> Key | None:
    """Return what requests of one page have in common; None for a navigation, and for a program without a page."""
    if is_navigation(head) or not (head.referer or head.fetch_mode):
        return None
    return room, head.client_ip, head.user_agent, head.accept_language, head.host, head.referer
