"""The report channel: what the shop answered, told by load balancers or by the shop itself.

    POST /api/report at the plugin listener, one JSON object a line, or a JSON list of them:

    {"room": "checkout", "ticket": "3q2-...", "admitted_at": 1763719200.123, "method": "POST", "status": 200,
     "seconds": 0.041, "stanchion-command": "complete", "stanchion-stock": "41", ...}

`seconds` is the time to the head of the response; `milliseconds` may be there instead.
`room`, `ticket` and `admitted_at` are the `X-Stanchion-*` fields of the request, as text or number. Everything but
`status` may be missing. A line that does not fit is counted in the answer and changes nothing.

    200 {"taken": 2, "refused": 0}
"""

import json
import re
from typing import Annotated, Final

from msgspec import DecodeError, Meta, Struct, field
from msgspec.json import Decoder

from edge.decision.pipeline import Pipeline
from edge.messages.shop_response import ShopResponse
from edge.messages.verdict import Answer, Headers

__all__ = ["MOST_BYTES", "take_reports"]

#: The largest body of a report: some five thousand lines.
MOST_BYTES: Final = 1_048_576
_JSON: Final[Headers] = (("Content-Type", "application/json"), ("Cache-Control", "no-store"))

_LAST_NUMBER: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*$")

Word = Annotated[str, Meta(max_length=64)]


class _Line(Struct, frozen=True):
    status: Annotated[int, Meta(ge=0, le=999)]
    seconds: Annotated[float, Meta(ge=0, le=86_400)] | Word = 0.0
    milliseconds: Annotated[float, Meta(ge=-1, le=86_400_000)] | Word = 0.0
    room: Word = ""
    ticket: Word = ""
    admitted_at: float | Word = 0.0
    method: Word = "GET"
    command: Word = field(default="", name="stanchion-command")
    stock: Word | int = field(default="", name="stanchion-stock")
    held: Word | int = field(default="", name="stanchion-held")
    version: Word | int = field(default="", name="stanchion-version")


_line: Final = Decoder(_Line, strict=False)
_lines: Final = Decoder(list[_Line], strict=False)


def take_reports(body: bytes, pipeline: Pipeline, now: float) -> tuple[Answer, int, int]:
    """Take in the reports of a body. Return the answer, and how many were taken and refused."""
    taken = refused = 0
    for line in _read(body):
        if line is not None and pipeline.report(_response(line), now):
            taken += 1
        else:
            refused += 1
    code = 400 if refused and not taken else 200
    told = json.dumps({"taken": taken, "refused": refused}).encode()
    return Answer(code, _JSON, told, "reported" if code == 200 else "refused"), taken, refused


def _read(body: bytes) -> list[_Line | None]:
    if body.lstrip()[:1] == b"[":
        try:
            return list(_lines.decode(body))
        except DecodeError:
            return [None]
    return [_read_line(line) for line in body.splitlines() if line.strip()]


def _read_line(line: bytes) -> _Line | None:
    try:
        return _line.decode(line)
    except DecodeError:
        return None


def _response(line: _Line) -> ShopResponse:
    stated = (
        ("Stanchion-Command", line.command),
        ("Stanchion-Stock", str(line.stock)),
        ("Stanchion-Held", str(line.held)),
        ("Stanchion-Version", str(line.version)),
    )
    return ShopResponse(
        # nginx writes `-` for an empty variable.
        "" if line.room == "-" else line.room,
        "" if line.ticket == "-" else line.ticket,
        _number(line.admitted_at),
        line.method,
        line.status,
        _number(line.seconds) or max(0.0, _number(line.milliseconds)) / 1000,
        tuple([pair for pair in stated if pair[1] not in ("", "-")]),
    )


def _number(value: float | str) -> float:
    """Return a number, 0 if it is none. nginx lists one for each server that it asked: the last one is the shop's."""
    if isinstance(value, float):
        return value
    found = _LAST_NUMBER.search(value)
    return 0.0 if found is None else float(found[1])
