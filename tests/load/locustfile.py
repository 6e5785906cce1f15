"""A crowd for Locust: visitors browse, wait in line, enter, buy, or lose patience.

    locust -f tests/load/locustfile.py --headless --host http://127.0.0.1:8080 --users 500 --spawn-rate 50 --run-time 2m

Each user plays one visitor after another, each with new cookies. No visitor polls before the appointment in the status
document. Two things count as failures: a response that is neither a place in line nor the shop's, and a wait without a
next appointment. Options (or environment): --room-path (STANCHION_PATH), --impatient (STANCHION_IMPATIENT), --patience
(STANCHION_PATIENCE), --form-seconds (STANCHION_FORM_SECONDS).
"""

import random
import re
from time import monotonic
from typing import Any

import gevent
from locust import FastHttpUser, events, task

#: The page polls late by up to this part of an interval, but by at most JITTER_MOST_S seconds.
JITTER = 0.03
JITTER_MOST_S = 0.25
PAGE = {"Accept": "text/html"}
DOCUMENT = {"Accept": "application/json"}


@events.init_command_line_parser.add_listener
def add_options(parser: Any) -> None:
    parser.add_argument("--room-path", env_var="STANCHION_PATH", default="/checkout", help="a path that a room covers")
    parser.add_argument(
        "--impatient", env_var="STANCHION_IMPATIENT", type=float, default=0.3, help="share of visitors that may give up"
    )
    parser.add_argument(
        "--patience", env_var="STANCHION_PATIENCE", type=float, default=60.0, help="mean patience of those, seconds"
    )
    parser.add_argument(
        "--form-seconds",
        env_var="STANCHION_FORM_SECONDS",
        type=float,
        default=2.0,
        help="time to fill in the form, seconds",
    )


class Visitor(FastHttpUser):
    """Plays one visitor after another."""

    network_timeout = 30.0
    connection_timeout = 10.0

    @task
    def visit(self) -> None:
        self.client.cookiejar.clear()
        self.client.get("/", headers=PAGE, name="browse")
        if self._wait():
            self._buy()

    def _wait(self) -> bool:
        """Wait in line. Return whether the visitor was admitted."""
        options = self.environment.parsed_options
        patience_s = random.expovariate(1 / options.patience) if random.random() < options.impatient else float("inf")
        began = monotonic()
        while True:
            after_s = self._poll(options.room_path)
            if after_s == 0.0:
                return True
            if after_s is None or monotonic() - began + after_s > patience_s:
                return False
            gevent.sleep(after_s + min(JITTER * after_s, JITTER_MOST_S) * random.random())

    def _poll(self, path: str) -> float | None:
        """Poll once. Return the seconds to the next poll, 0 after admission, or None if the wait is over."""
        with self.client.get(path, headers=DOCUMENT, name="line", catch_response=True) as answer:
            state = answer.headers.get("Stanchion-State") if answer.headers else None
            answer.request_meta["name"] = f"line: {state}"
            if answer.status_code != 200 or state not in ("waiting", "admitted", "sold_out", "early", "closed"):
                answer.failure(f"status {answer.status_code}, state {state}")
                return None
            if state == "admitted":
                return 0.0
            after_s: float | None = answer.json()["poll_after_seconds"]
            if state == "waiting" and (after_s is None or after_s <= 0):
                answer.failure(f"next appointment in {after_s} s")
                return None
            return after_s if state == "waiting" else None

    def _buy(self) -> None:
        options = self.environment.parsed_options
        page = self.client.get(options.room_path, headers=PAGE, name="enter")
        gevent.sleep(random.uniform(0.5, 1.5) * options.form_seconds)
        form = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page.text or ""))
        form |= {"name": "Locust", "card": "4242 4242 4242 4242"}
        self.client.post(options.room_path, data=form, headers=PAGE, name="buy")
