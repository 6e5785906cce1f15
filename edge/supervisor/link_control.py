"""Invites and staff links: operators make and revoke them at one machine, and they are in force on all.

    make      signed with the first secret key; nothing is stored of a link (`waiting_room/links.py`)
    revoke    the id of a link, or of its batch, is kept until the link would have expired; every worker knows it

    id = 8 characters of the batch, 8 of the link

`link_service.py` counts how often a link was opened. A machine without Redis knows only its own revocations.
"""

import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from edge.messages.cluster import LinkState, LinkStates
from edge.operations.audit import audit
from edge.settings.model import Settings
from edge.supervisor.room_control import room_named
from edge.supervisor.shared_control import FUTURE_S, SharedControl
from edge.supervisor.state_folder import StateFolder
from edge.support.errors import ClientError
from waiting_room.links import BATCH_CHARACTERS, BY_INVITE, BY_STAFF_LINK, LINK_CHARACTERS, Link, Links
from waiting_room.status import timestamp

__all__ = ["MOST_AT_ONCE", "MOST_REVOKED", "MOST_SECONDS", "PARAMETERS", "LinkControl", "NoRoomLeft"]

FILE: Final = "links"
MOST_AT_ONCE: Final = 10_000
#: Links and batches that are revoked at the same time.
MOST_REVOKED: Final = 10_000
MOST_SECONDS: Final = 90 * 86_400.0
#: The parameter of an address that holds a link, by its kind.
PARAMETERS: Final = {BY_INVITE: "stanchion_invite", BY_STAFF_LINK: "stanchion_staff"}
_NAMES: Final = {BY_INVITE: "invites", BY_STAFF_LINK: "staff links"}


class NoRoomLeft(ClientError):
    """More links are revoked than the workers can keep."""

    status = 409


class LinkControl(SharedControl):
    """apply(): configure the workers again. publish(message): send it to all other machines. read(): the settings and
    the secret keys, newest first."""

    def __init__(
        self,
        apply: Callable[[], None],
        publish: Callable[[LinkStates], None],
        folder: StateFolder,
        read: Callable[[], tuple[Settings, Sequence[bytes]]],
    ) -> None:
        super().__init__(apply, folder, FILE)
        self._publish_states = publish
        self._read = read
        self._revoked: dict[str, LinkState] = {}
        self._merge(_kept(folder.read(FILE)), time.time())
        self._applied = self._in_force(time.time())

    def __repr__(self) -> str:
        return f"<LinkControl {len(self._revoked)} revoked>"

    @property
    def revoked(self) -> tuple[str, ...]:
        """The ids of links and batches that count no more."""
        return self._in_force(time.time())

    def make(
        self,
        actor: str,
        kind: str,
        room_name: str,
        *,
        lane: str,
        count: int,
        uses: int,
        seconds: float,
        url: str | None,
        note: str | None,
    ) -> dict[str, Any]:
        """Make links of one batch; return them as JSON values.

        kind: BY_INVITE or BY_STAFF_LINK. uses: browsers that may open each, 0 for any number. url: the address that
        the links lead to; None returns tokens alone. note: for the audit trail. Raises NoSuchRoom, ClientError.
        """
        settings, keys = self._read()
        room = room_named(settings, room_name)
        names = [each.name for each in room.lanes]
        if kind == BY_INVITE and lane not in names:
            has = f"its lanes are {', '.join(names)}" if names else "it has no lanes (rooms[].lanes)"
            raise ClientError(f"lane: room {room_name!r} has no lane {lane!r}; {has}")
        before, after = _around_token(url)
        batch, expires = secrets.token_urlsafe(BATCH_CHARACTERS * 3 // 4), time.time() + seconds
        links, made = Links(keys), []
        for _ in range(count):
            ident = batch + secrets.token_urlsafe((LINK_CHARACTERS - BATCH_CHARACTERS) * 3 // 4)
            token = links.seal(Link(kind, room_name, lane, ident, uses, expires))
            address = None if url is None else f"{before}{PARAMETERS[kind]}={token}{after}"
            made.append({"id": ident, "token": token, "url": address})
        told = {"batch": batch, "count": count, "lane": lane or None, "uses": uses, "expires_at": timestamp(expires)}
        audit(actor, f"make {_NAMES[kind]}", "done", None, {**told, "note": note}, room=room_name)
        return {"room": room_name, **told, "links": made}

    def revoke(self, actor: str, kind: str, room_name: str, ident: str) -> dict[str, Any]:
        """Revoke a link or, by the first characters of its id, its batch. Raises NoSuchRoom, ClientError."""
        room_named(self._read()[0], room_name)
        if (
            len(ident) not in (BATCH_CHARACTERS, LINK_CHARACTERS)
            or not ident.replace("-", "").replace("_", "").isalnum()
        ):
            raise ClientError(
                f"a link has an id of {LINK_CHARACTERS} characters, a batch of {BATCH_CHARACTERS}; got {ident[:40]!r}"
            )
        now = time.time()
        if len(self._in_force(now)) >= MOST_REVOKED and ident not in self._revoked:
            raise NoRoomLeft(
                f"{MOST_REVOKED} links and batches are revoked already; revoke a batch instead of its links"
            )
        self._revoked[ident] = LinkState(ident, now + MOST_SECONDS, actor)
        self._said()
        audit(actor, f"revoke {_NAMES[kind]}", "done", None, {"id": ident}, room=room_name)
        return {"room": room_name, "revoked": ident}

    def receive(self, message: LinkStates) -> None:
        """Take in what other machines have revoked."""
        if self._merge(message.revoked, time.time()):
            self._heard()

    def _merge(self, states: Iterable[LinkState], now: float) -> bool:
        is_news = False
        for state in states:
            is_valid = now < state.expires <= now + MOST_SECONDS + FUTURE_S
            if is_valid and state.link not in self._revoked and len(self._revoked) < MOST_REVOKED:
                self._revoked[state.link] = state
                is_news = True
        return is_news

    def _in_force(self, now: float) -> tuple[str, ...]:
        return tuple(sorted(link for link, state in self._revoked.items() if now < state.expires))

    def _turned(self, now: float) -> None:
        self._revoked = {link: state for link, state in self._revoked.items() if now < state.expires}

    def _content(self) -> dict[str, Any]:
        return {"revoked": [msgspec.to_builtins(state) for state in self._revoked.values()]}

    def _publish(self) -> None:
        if self._revoked:
            self._publish_states(LinkStates(tuple(self._revoked.values())))


def _around_token(url: str | None) -> tuple[str, str]:
    """Return what stands before and after the parameter of a link in an address. Raises ClientError."""
    if url is None:
        return "", ""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc or not url.isascii() or any(c <= " " for c in url):
        raise ClientError(f"url: must be an address such as https://shop.example/checkout, got {url[:80]!r}")
    bare, _, fragment = url.partition("#")
    if not parts.path:
        bare = bare.replace(parts.netloc, parts.netloc + "/", 1)
    return f"{bare}{'&' if parts.query else '?'}", f"#{fragment}" if fragment else ""


def _kept(value: Mapping[str, Any] | None) -> list[LinkState]:
    """Return what a file says was revoked; what this version does not understand is left out."""
    found = []
    entries = [] if value is None else value.get("revoked")
    for entry in entries if isinstance(entries, list) else []:
        with suppress(msgspec.ValidationError):
            found.append(msgspec.convert(entry, LinkState))
    return found
