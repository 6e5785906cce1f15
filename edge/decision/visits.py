"""Which requests are visits: a browser also sends requests that carry no cookie by design, or that nobody has made.

    PREFLIGHT    CORS asks beforehand: OPTIONS, `Origin`, `Access-Control-Request-Method`, never a cookie (Fetch, 4.8)
    SPECULATIVE  fetched because a visitor may want it next: prefetch, prerender, preview
    CROSS_FORM   a form that another site sends to show its answer: browsers leave out SameSite=Lax cookies
    GUEST        HEAD, OPTIONS, and what a page loads without a cookie (manifest, image, font), or another site's page
    ACTION       a button of the edge's own pages, or an app in its place: leave the line, move the place, ...
    VISIT        everything else

Only a visit makes a visitor: it may get a place in line or a pass, and with it a cookie. With a pass, all kinds are
served as a visit. `Sec-Fetch-*` tells the kinds apart (W3C Fetch Metadata). Browsers send these fields over HTTPS only;
without them the `Origin` of a form shows whether it comes from another site.
"""

import re
from functools import lru_cache
from typing import Final

from edge.messages.head import NO_METADATA, RequestHead

__all__ = [
    "ACTION",
    "CROSS_FORM",
    "GUEST",
    "PREFLIGHT",
    "SAFE",
    "SPECULATIVE",
    "VISIT",
    "is_navigation",
    "kind_of",
    "says_robot",
]

VISIT: Final = 0
PREFLIGHT: Final = 1
SPECULATIVE: Final = 2
CROSS_FORM: Final = 3
GUEST: Final = 4
ACTION: Final = 5

#: Methods that change nothing (RFC 9110, 9.2.1).
SAFE: Final = frozenset(("GET", "HEAD", "OPTIONS"))
#: Methods of a navigation. HEAD is a monitor's question for the same page.
_NAVIGATING: Final = frozenset(("GET", "HEAD", "POST"))
#: Values of the fields that mark a speculative request.
_SPECULATIVE: Final = frozenset(("prefetch", "prerender", "preview", "preload", "instant"))
#: `Sec-Fetch-Dest` of a page that is shown, and of a request by a script. All other destinations are parts of a page.
_SHOWN: Final = frozenset(("document", "iframe", "frame", "object", "embed", "fencedframe"))
_BY_SCRIPT: Final = frozenset(("empty", "websocket", ""))
#: Programs that say that they are no visitors: crawlers, monitors, and what makes the preview of a link in a chat.
_ROBOT: Final = re.compile(
    r"bot\b|crawl|spider|slurp|preview|externalhit|whatsapp|monitor|uptime|pingdom|statuscake|headless|lighthouse"
    r"|facebookcatalog|embedly|scraper|archiver|feedfetcher|validator|linkcheck",
    re.IGNORECASE,
)


def kind_of(head: RequestHead, shared_domain: str = "") -> int:
    """Return the kind of a request. shared_domain: `cookies.domain`; hosts below it are one site."""
    metadata = head.metadata
    method = head.method
    if metadata is NO_METADATA:
        return GUEST if method in ("HEAD", "OPTIONS") else VISIT
    if method == "OPTIONS":
        return PREFLIGHT if metadata.origin and metadata.asked_method and not head.cookie else GUEST
    if metadata.purpose and _is_speculative(metadata.purpose):
        return SPECULATIVE
    if method == "HEAD":
        return GUEST
    if _is_cross_site(head, shared_domain):
        is_shown = is_navigation(head)
        if is_shown and method != "GET":
            return CROSS_FORM
        return VISIT if is_shown and metadata.dest in ("document", "") else GUEST
    if metadata.dest not in _SHOWN and metadata.dest not in _BY_SCRIPT and head.fetch_mode != "navigate":
        return GUEST
    return VISIT


def is_navigation(head: RequestHead) -> bool:
    """Return whether the answer is shown as a page. Without `Sec-Fetch-Mode`, the other fields say so.

    A service worker sends a navigation on with the mode 'same-origin'; scripts hardly use that mode. Browsers navigate
    by GET and POST alone (HTML, 4.10.21.3), and do not ask for JSON to show.
    """
    mode = head.fetch_mode
    if mode == "navigate":
        return True
    if mode not in ("", "same-origin") or head.method not in _NAVIGATING or head.metadata.is_by_script:
        return False
    return "text/html" in head.accept and "application/json" not in head.accept


@lru_cache(maxsize=1024)
def says_robot(user_agent: str) -> bool:
    """Return whether a program says that it is no visitor."""
    return _ROBOT.search(user_agent) is not None


@lru_cache(maxsize=512)
def _is_speculative(purpose: str) -> bool:
    return not _SPECULATIVE.isdisjoint(re.split(r"[\s;,=]+", purpose.lower()))


def _is_cross_site(head: RequestHead, shared_domain: str) -> bool:
    metadata = head.metadata
    if metadata.site:
        return metadata.site == "cross-site"
    # Browsers send `Origin` with everything but a plain GET. Of "null" nothing is known, so it is another site.
    return bool(metadata.origin) and not is_same_site(metadata.origin, head.forwarded_host or head.host, shared_domain)


@lru_cache(maxsize=512)
def is_same_site(origin: str, host: str, shared_domain: str) -> bool:
    """Return whether an origin probably belongs to the site of a host.

    What a site is depends on a list of public suffixes, which the edge does not have. Of two hosts the last two labels
    must agree, or three below a suffix such as co.uk. A wrong answer costs a place that comes one request later.
    """
    if not origin.startswith(("http://", "https://")):
        return False
    theirs, ours = _name(origin.partition("://")[2]), _name(host)
    if theirs == ours:
        return True
    shared = shared_domain.lstrip(".").lower()
    if shared and all(f".{name}".endswith(f".{shared}") for name in (theirs, ours)):
        return True
    return not _is_address(ours) and _site(theirs) == _site(ours)


def _site(name: str) -> str:
    labels = name.split(".")
    has_long_suffix = len(labels) > 2 and len(labels[-1]) == 2 and len(labels[-2]) <= 3
    return ".".join(labels[-3 if has_long_suffix else -2 :])


def _is_address(name: str) -> bool:
    return name.startswith("[") or name.replace(".", "").isdigit()


def _name(host: str) -> str:
    """Return a host without its port and trailing dot, in lower case."""
    name = host.lower()
    return name.partition("]")[0] + "]" if name.startswith("[") else name.partition(":")[0].rstrip(".")
