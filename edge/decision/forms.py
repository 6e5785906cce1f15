"""Queued forms: a form that is sent at the moment when its sender has to wait reaches the shop once, after admission.

    POST of a page, the visitor waits     TakeForm: the body is read and kept for the visitor's ticket; the page that
                                          shows the place knows an address with the form's key
    GET of that address, still waiting    the page
    GET of that address, admitted         the form is taken and sent: POST, its body, the fields that belong to it
                        taken before      a reload: the address without the key, by GET
                        not kept here     a page that says so: nothing is lost in silence

The page opens that address by itself after the admission, with scripts and without, so no browser asks whether to send
a form again. Only the visitor with the ticket can have the form sent: the key alone is not enough. A form that
another site sends is not kept (`visits.py`). What is too large, or does not fit, is not kept: then the page reloads
itself after the admission, and the browser sends the form again.
"""

import re
from collections.abc import Callable
from typing import Final

from msgspec import msgpack

from edge.messages.verdict import Fields, Replay, SentForm
from edge.support.shared_forms import LARGEST_FORM, SharedForms

__all__ = ["PARAMETER", "Forms", "key_in", "without_key"]

PARAMETER: Final = "stanchion-form"
_KEY: Final = re.compile(rf"([?&]){PARAMETER}=([0-9a-f]{{32}})(&?)")


def key_in(target: str) -> str:
    """Return the key of a form that a target names, '' if it names none."""
    if PARAMETER not in target:
        return ""
    found = _KEY.search(target)
    return found[2] if found else ""


def without_key(target: str) -> str:
    """Return a target without the key of a form."""
    return _KEY.sub(lambda found: found[1] if found[3] else "", target, count=1)


class Forms:
    """One node's. most: the longest body that is kept, in bytes. kept_s: for how long."""

    def __init__(self, store: SharedForms, entropy: Callable[[int], bytes], most: int, kept_s: float) -> None:
        self._store = store
        self._entropy = entropy
        self.most = most
        self._kept_s = kept_s

    def keep(self, target: str, ticket_id: str, sent: SentForm, now: float) -> str | None:
        """Keep a form; return the target that sends it, or None if it cannot be kept."""
        content = msgpack.encode((without_key(target), sent.fields, sent.body))
        key = self._entropy(16)
        if len(content) > LARGEST_FORM or not self._store.put(key, ticket_id, content, now, now + self._kept_s):
            return None
        path, mark, query = without_key(target).partition("?")
        return f"{path}?{query + '&' if mark and query else ''}{PARAMETER}={key.hex()}"

    def take(self, target: str, ticket_id: str, now: float) -> Replay | None:
        """Return what to send in place of a request with a form's key, or None if the form is not kept here."""
        key = bytes.fromhex(key_in(target))
        content = self._store.take(key, ticket_id, now)
        if content is None:
            return None
        if not content:
            return Replay("GET", without_key(target), (), b"", _nothing)
        kept, fields, body = msgpack.decode(content, type=tuple[str, Fields, bytes])

        def put_back() -> None:
            self._store.put(key, ticket_id, content, now, now + self._kept_s)

        return Replay("POST", kept, fields, body, put_back)


def _nothing() -> None:
    """A reload has nothing to put back."""
