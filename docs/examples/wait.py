"""Wait in line with Python's standard library alone: `python wait.py https://shop.example/checkout`."""

import json
import random
import sys
import time
from collections.abc import Callable
from http.cookiejar import CookieJar
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote, urljoin
from urllib.request import HTTPCookieProcessor, Request, build_opener

visitor = build_opener(HTTPCookieProcessor(CookieJar()))  # the place in line is a cookie


def send(url: str, data: bytes | None = None) -> tuple[int, str | None, bytes]:
    request = Request(url, data, {"Accept": "application/json"})
    try:
        answer = visitor.open(request, timeout=15)  # a parked poll is answered within 5 s
    except HTTPError as error:  # also the 503 to a POST in line
        answer = error
    with answer:
        return answer.status, answer.headers.get("Stanchion-State"), answer.read()


def ask(url: str, data: bytes | None = None, show: Callable[[Any], object] = print) -> tuple[int, bytes]:
    """Send a request (a POST if there is data), wait in line, return status and body of the shop's answer."""
    code, state, body = send(url, data)
    if state in (None, "admitted"):
        return code, body
    document, failures = json.loads(body), 0
    address = urljoin(url, "/_stanchion/status?room=" + quote(document["room"]))
    while document["state"] != "admitted" and code != 404:  # 404: the room was removed
        show(document)
        if document["poll_after_seconds"] is None:
            raise RuntimeError(f"the line is over: {document['state']}")
        least_s = min(60.0, 2.0**failures) if failures else max(0.5, document["poll_after_seconds"])
        time.sleep(least_s + random.uniform(0.0, 0.03 * least_s))
        try:
            code, state, body = send(address)
        except OSError:
            state = None
        failures = 0 if state else failures + 1
        document = json.loads(body) if state else document
    return send(url, data)[::2]  # once more: it did not reach the shop before


if __name__ == "__main__":
    print(ask(sys.argv[1])[1].decode())
