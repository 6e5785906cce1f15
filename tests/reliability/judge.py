"""Reads the bytes at the upstream as strictly as the RFCs allow: the requests, and their faults.

It shares no code with the edge's parser and is checked against h11, so that it does not share the edge's mistakes.
"""

import re
from dataclasses import dataclass, field

__all__ = ["Judgement", "judge"]

_LINE = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+ [!-~]+ HTTP/1\.[01]")
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t !-~\x80-\xff]*)")
_HOST = re.compile(rb"[A-Za-z0-9._~!$&'()*+;=%-]*(:\d*)?|\[[0-9A-Fa-f:.]+\](:\d*)?")
_CHUNK = re.compile(rb"([0-9A-Fa-f]+)(;[\t -~]*)?")


@dataclass
class Judgement:
    requests: list[bytes] = field(default_factory=list)
    """Request lines."""
    faults: list[str] = field(default_factory=list)


def judge(received: bytes) -> Judgement:
    """Judge all bytes of one connection to the upstream."""
    said = Judgement()
    while received:
        head, end, rest = received.partition(b"\r\n\r\n")
        if not end:
            said.faults.append(f"half a head: {head[:60]!r}")
            return said
        line, *lines = head.split(b"\r\n")
        said.requests.append(line)
        if not _LINE.fullmatch(line):
            said.faults.append(f"request line {line[:60]!r}")
        fields = []
        for each in lines:
            found = _FIELD.fullmatch(each)
            if found is None:
                said.faults.append(f"field {each[:60]!r}")
            else:
                fields.append((found[1].lower(), found[2].strip(b" \t")))
        if line.endswith(b"1.0") and any(name == b"transfer-encoding" for name, _ in fields):
            said.faults.append("a transfer coding to HTTP/1.0")
        body_fault, rest = _after_body(fields, rest)
        said.faults += body_fault
        hosts = [value for name, value in fields if name == b"host"]
        if len(hosts) != 1 or not hosts[0] or not _HOST.fullmatch(hosts[0]):
            said.faults.append(f"hosts {hosts!r}")
        if body_fault:
            return said
        received = rest
    return said


def _after_body(fields: list[tuple[bytes, bytes]], rest: bytes) -> tuple[list[str], bytes]:
    lengths = [value for name, value in fields if name == b"content-length"]
    codings = [value.lower() for name, value in fields if name == b"transfer-encoding"]
    if codings and (lengths or codings != [b"chunked"]):
        return [f"codings {codings!r} and lengths {lengths!r}"], rest
    if codings:
        return _after_chunks(rest)
    if not lengths:
        return [], rest
    if len(lengths) > 1 or not re.fullmatch(rb"[0-9]{1,18}", lengths[0]):
        return [f"lengths {lengths!r}"], rest
    return [], rest[int(lengths[0]) :]


def _after_chunks(rest: bytes) -> tuple[list[str], bytes]:
    while True:
        line, end, after = rest.partition(b"\r\n")
        if not end:
            # Broken off: the upstream sees that the body is not whole.
            return [], b""
        size = _CHUNK.fullmatch(line)
        if size is None:
            return [f"chunk {line[:40]!r}"], rest
        count = int(size[1], 16)
        if not count:
            trailers, end, behind = (b"\r\n" + after).partition(b"\r\n\r\n")
            bad = [each for each in trailers.split(b"\r\n")[1:] if not _FIELD.fullmatch(each)]
            return ([f"trailers {bad!r}"] if bad else []), behind
        if len(after) < count + 2:
            return [], b""
        if after[count : count + 2] != b"\r\n":
            return [f"chunk of {count} does not end"], rest
        rest = after[count + 2 :]
