"""The head of a request that is sent in place of the visitor's own (`Replay`). Pure: bytes -> bytes."""

from typing import Final

from edge.messages.verdict import Forward, Replay
from edge.proxy.parsed_head import ForwardMemo

__all__ = ["head_for", "replayed"]

#: Fields of the visitor's own request that do not belong to the one that is sent: of its body, its page, its cache.
_REPLACED: Final = frozenset(
    (
        *(b"content-type", b"content-length", b"content-language", b"content-encoding", b"transfer-encoding"),
        *(b"origin", b"referer", b"sec-fetch-site", b"range"),
        *(b"if-none-match", b"if-modified-since", b"if-match", b"if-unmodified-since", b"if-range"),
    )
)


def head_for(memo: ForwardMemo, forward: Forward, length: int) -> bytes:
    """Return the head for the upstream, and the body behind it if it is sent in place of the visitor's own request.

    A request with a body of its own (`length` is not 0) is sent as it is."""
    replay = forward.replay
    if replay is not None:
        if not length:
            return replayed(b"%b%b" % (memo.upstream_head, memo.upstream_fields), replay)
        replay.put_back()
    return b"%b%b\r\n" % (memo.upstream_head, memo.upstream_fields)


def replayed(head: bytes, replay: Replay) -> bytes:
    """Return the head to send, and the body behind it. head: the visitor's own, for the upstream, with all fields and
    without the empty line."""
    lines = head.split(b"\r\n")[1:-1]
    if replay.body or replay.method != "GET":
        lines = [line for line in lines if line.partition(b":")[0].lower() not in _REPLACED]
        lines += [b"%b: %b" % field for field in replay.fields]
        lines.append(b"Content-Length: %d" % len(replay.body))
    first = f"{replay.method} {replay.target} HTTP/1.1".encode("latin-1")
    return b"\r\n".join([first, *lines, b"", replay.body])
