"""How the waiting page goes on without scripts: by tags that load it again.

A page that answers a form which the edge keeps goes on at another address, which has the form sent (`edge/decision/
forms.py`). To load itself again would lose the form, because a browser does that by GET.
"""

import re
from typing import Final

from waiting_room.status import State, Status

__all__ = ["refresh", "with_form"]

COOKIES_REFRESH_S: Final = 60
"""The time until a page that explains cookies reloads without scripts, long enough that a loop does no harm."""

RESCUE_REFRESH_S: Final = 20
"""The time until the page reloads if its script did not load."""


def refresh(view: str, status: Status) -> bytes:
    """Return the tags that reload the page after the poll interval if scripts are off.

    The second, slower refresh is for a browser that runs scripts but could not load or run ours; it would wait for ever
    otherwise. The script cancels it.
    """
    if view == "cookies":
        after_s: int | None = COOKIES_REFRESH_S
    elif view == State.ADMITTED:
        after_s = 1
    else:
        after_s = status.retry_after_s
    if after_s is None:
        return b""
    return (
        b'<noscript><meta http-equiv="refresh" content="%d"></noscript>\n'
        b'<meta http-equiv="refresh" content="%d">\n' % (after_s, max(RESCUE_REFRESH_S, after_s))
    )


def with_form(page: bytes, url: bytes, not_kept: bytes) -> bytes:
    """Return a page that answers a form: it goes on at this address, or says that the form is not kept if that is b"".
    Few visitors get one, so it is not prepared."""
    page = page.replace(b'data-view="', b'data-form-url="%b" data-view="' % url, 1)
    if url:
        return _REFRESH.sub(lambda found: b'%b;url=%b"' % (found[1], url), page)
    notice = b'<noscript><p class="notice">%b</p></noscript>\n' % not_kept
    return page.replace(_HEADLINE, notice + _HEADLINE, 1)


#: The begin of the element that every page of a room has in front of its figures.
_HEADLINE: Final = b'<h1 id="headline">'
_REFRESH: Final = re.compile(rb'(http-equiv="refresh" content="\d+)"')
