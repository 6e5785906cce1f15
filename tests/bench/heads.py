"""Heads as browsers send them: about 740 bytes, from 2,000 visitors, with tickets and passes signed with the test key.

Tickets are made just before use. A ticket that was signed a minute ago is signed anew at the next poll: about every
eighth poll of a real browser, but every poll of a load generator that ignores cookies.
"""

import base64
import os
import time

from waiting_room.ticket import Keyring, Pass, new_ticket

ACCEPT_ENCODING = "gzip, deflate, br, zstd"
KEY = "bench-key-" + "k" * 30
VISITORS = 2000

_HEAD = (
    "{method} {target} HTTP/1.1\r\nHost: shop.example\r\nConnection: {connection}\r\n"
    'sec-ch-ua: "Chromium";v="124", "Google Chrome";v="124", "Not-A.Brand";v="99"\r\nsec-ch-ua-mobile: ?0\r\n'
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0"
    ' Safari/537.36\r\nsec-ch-ua-platform: "Linux"\r\nAccept: {accept}\r\nSec-Fetch-Site: same-origin\r\n'
    "Sec-Fetch-Mode: {mode}\r\nSec-Fetch-Dest: empty\r\nReferer: http://shop.example/\r\n"
    "Accept-Encoding: {encodings}\r\nAccept-Language: en-GB,en;q=0.9\r\n"
    "Cookie: _ga=GA1.1.1234567.1712345678; session={session}; {ours}theme=dark\r\n{more}\r\n"
)
_JSON = ("application/json", "cors")
_PAGE = ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "navigate")
_FORM = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n"
#: wrk puts a counter here, so that every head is new.
COUNTER = "@@"


class Heads:
    """Makes the heads for each kind of work."""

    def __init__(self) -> None:
        self._keys = Keyring([KEY.encode()])

    def plain(self) -> list[bytes]:
        """Polls that nginx answers with a constant."""
        return [self._head("GET", "/plain", _JSON, self._ticket()) for _ in range(VISITORS)]

    def polls(self, *, visitors: int = VISITORS, new: bool = False, connection: str = "keep-alive") -> list[bytes]:
        return [self._head("GET", "/_stanchion/status?room=checkout", _JSON, self._ticket(), new=new,
                           connection=connection) for _ in range(visitors)]  # fmt: skip

    def pages(self) -> list[bytes]:
        """First visits, without a ticket."""
        return [self._head("GET", "/checkout", _PAGE, "", new=True)]

    def passes(self, target: str, *, method: str = "GET", body: int = 0) -> list[bytes]:
        more = _FORM.format(body) if body else ""
        return [self._head(method, target, _PAGE, self._pass(), more=more) + b"x" * body for _ in range(VISITORS)]

    def _head(
        self, method: str, target: str, wants: tuple[str, str], ours: str, *, new: bool = False, more: str = "",
        connection: str = "keep-alive",
    ) -> bytes:  # fmt: skip
        session = "0123456789abcdef0123" + COUNTER if new else "0123456789abcdef0123" + os.urandom(5).hex()
        accept, mode = wants
        return _HEAD.format(
            method=method, target=target, connection=connection, accept=accept, mode=mode, session=session, ours=ours,
            more=more, encodings=ACCEPT_ENCODING,
        ).encode()  # fmt: skip

    def _ticket(self) -> str:
        now = time.time()
        ticket = new_ticket("checkout", now - 20 - 0.001 * int.from_bytes(os.urandom(2)), os.urandom(16)).renewed(now)
        return f"stanchion_checkout={self._keys.seal(ticket)}; "

    def _pass(self) -> str:
        now = time.time()
        ident = base64.urlsafe_b64encode(os.urandom(16)).rstrip(b"=").decode()
        given = Pass(ident, "checkout", now - 20, now - 1, float(int(now + 3600)))
        return f"stanchion_checkout={self._keys.seal(given)}; "
