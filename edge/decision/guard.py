"""The guard: heads that no honest client sends are refused before anything else, by a clear 4xx, never by the line."""

import re
from functools import lru_cache
from typing import Final

from edge.messages.head import RequestHead
from edge.messages.refusal import Refusal
from edge.support.path_readings import is_too_ambiguous

__all__ = ["fault_in"]

#: Longer targets are checked at each request: a cache of them would be memory for an attacker to fill.
MAX_CACHED_CHARS: Final = 512
#: A token (RFC 9110, 5.6.2).
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}")
#: A host with an optional port: a name, an IPv4 address or a bracketed IPv6 address; no user, no list, no space.
_HOST = re.compile(r"(?:[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,253})|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{0,5})?")
#: A request target (RFC 9112, 3.2): ASCII without white space, control characters and fragment.
_TARGET = re.compile(r"/[!\"$-~]*")


def fault_in(head: RequestHead) -> Refusal | None:
    """Return the client's fault in a head, or None."""
    if len(head.target) <= MAX_CACHED_CHARS:
        return _cached_fault(head.method, head.host, head.target)
    return _fault(head.method, head.host, head.target)


def _fault(method: str, host: str, target: str) -> Refusal | None:
    if not _TOKEN.fullmatch(method):
        return Refusal(400, "the method is not a token")
    if method in ("CONNECT", "TRACE"):
        return Refusal(405, f"{method} is not served here")
    if not _TARGET.fullmatch(target) and not (method == "OPTIONS" and target == "*"):
        return Refusal(400, "the request target is not a path")
    if not _HOST.fullmatch(host):
        return Refusal(400, "the Host header is missing or not a host")
    if is_too_ambiguous(target.partition("?")[0]):
        return Refusal(400, "the path can be read in too many ways: write it without '..', '//' and double encoding")
    return None


#: Most visitors request the same few targets.
_cached_fault = lru_cache(maxsize=1024)(_fault)
