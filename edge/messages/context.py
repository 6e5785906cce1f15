"""What the proxy may see of a classified request. The decision's own part is in `edge/decision/context.py`."""

from dataclasses import dataclass

from edge.messages.head import RequestHead

__all__ = ["RequestContext"]


# Built once by the decision and not changed afterwards, least of all by the proxy. Yet not `frozen`, and `__init__` is
# written out: docs/performance.md.
@dataclass(slots=True, init=False)
class RequestContext:
    """What a head means at any time."""

    head: RequestHead
    wants_page: bool
    """The client wants something to show: an error is a page, not a problem document."""
    is_verified: bool
    """A ticket or pass with a valid signature vouches for this head. Only such heads are cached."""

    def __init__(self, head: RequestHead, wants_page: bool = False, is_verified: bool = False) -> None:
        self.head = head
        self.wants_page = wants_page
        self.is_verified = is_verified
