"""Sessions of the dashboard: an operator shows a token once, and the browser gets a cookie instead of the token.

    POST   /v1/session   {"token": "..."}    the cookie, and a CSRF token for changes
    GET    /v1/session                       the operator: name, role, CSRF token
    DELETE /v1/session                       ends it

The cookie is HttpOnly and SameSite=Strict, so no script reads it and no other site sends it. A change by cookie must
also show the CSRF token in `X-CSRF-Token`. Sessions are in memory: a restart ends them, and so does a HUP after which
the token no longer counts. They end LIFETIME_S after the last request.
"""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from hmac import compare_digest

from edge.supervisor.admin_tokens import AdminTokens, Caller

__all__ = ["COOKIE", "LIFETIME_S", "Session", "Sessions"]

COOKIE = "stanchion_admin"
LIFETIME_S = 12 * 3600.0
#: Sessions at the same time; more would be an attack with a stolen token.
MOST = 1000


@dataclass(slots=True)
class Session:
    """One browser that showed a token."""

    authorization: str
    caller: Caller
    csrf: str
    used_at: float


class Sessions:
    """All sessions of one edge. clock(): monotonic seconds."""

    def __init__(self, tokens: AdminTokens, clock: Callable[[], float] = time.monotonic) -> None:
        self._tokens = tokens
        self._clock = clock
        self._sessions: dict[str, Session] = {}

    def __repr__(self) -> str:
        return f"<Sessions {len(self._sessions)}>"

    def begin(self, token: str) -> tuple[str, Session] | None:
        """Return the cookie's value and the session for a token, None if the token does not count."""
        authorization = f"Bearer {token}"
        caller = self._tokens.caller(authorization)
        if caller is None:
            return None
        now = self._clock()
        self._sessions = {key: each for key, each in self._sessions.items() if now - each.used_at < LIFETIME_S}
        while len(self._sessions) >= MOST:
            del self._sessions[next(iter(self._sessions))]
        cookie = secrets.token_urlsafe(32)
        session = self._sessions[cookie] = Session(authorization, caller, secrets.token_urlsafe(32), now)
        return cookie, session

    def find(self, cookie: str) -> Session | None:
        """Return the session of a cookie, None if it has ended or its token no longer counts."""
        session = self._sessions.get(cookie)
        if session is None:
            return None
        now = self._clock()
        caller = self._tokens.caller(session.authorization)
        if now - session.used_at >= LIFETIME_S or caller is None:
            del self._sessions[cookie]
            return None
        session.used_at, session.caller = now, caller
        return session

    def end(self, cookie: str) -> None:
        self._sessions.pop(cookie, None)

    @staticmethod
    def is_own(session: Session, csrf: str) -> bool:
        """Return whether a change shows the session's CSRF token."""
        return compare_digest(session.csrf.encode(), csrf.encode("utf-8", "surrogateescape"))
