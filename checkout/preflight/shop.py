"""Look at the running shop, as visitors, the edge and Prometheus see it."""

import asyncio
import os
import socket
import time
from email.utils import parsedate_to_datetime

from aiohttp import ClientError, ClientSession, ClientTimeout
from prometheus_client.parser import text_string_to_metric_families

from checkout.bank_client import BankClient
from checkout.gateway import NoAnswer
from checkout.preflight.check import Check, go, judged, no_go, note
from checkout.settings import Address, ShopSettings

TIMEOUT_S = 5.0
READS = 20
SLOW_READ_S, MOST_READ_S = 0.25, 2.0
MOST_LAG = 100
MAX_DATE_SKEW_S = 2.0  # a Date header has whole seconds
ALERTS = frozenset(
    {
        "ShopOversold",
        "ShopStoreDown",
        "ShopPaymentsUnanswered",
        "ShopEventsLag",
        "ShopBusDown",
        "ShopRelayBlocked",
        "ShopDeadLetters",
    }
)

Samples = dict[str, list[tuple[dict[str, str], float]]]


async def check_shop(url: str, sale: str, session: ClientSession) -> list[Check]:
    """Ask the shop for its stock until the answers come from memory, and look at its metrics and its clock."""
    if not url:
        return [no_go("caches", "not checked: give the address of a running shop with --url")]
    path = f"{url.rstrip('/')}/api/sales/{sale}/availability"
    took_s, dates = list[float](), list[float]()
    try:
        for _ in range(READS):
            started_s = time.monotonic()
            async with session.get(path) as answer:
                if answer.status != 200:
                    return [no_go("caches", f"{path} answered {answer.status}: {(await answer.text())[:200]}")]
                await answer.read()
                dates.append(_date_skew(answer.headers.get("Date", "")))
            took_s.append(time.monotonic() - started_s)
        async with session.get(f"{url.rstrip('/')}/metrics") as answer:
            samples = _samples(await answer.text())
    except (ClientError, TimeoutError, OSError, ValueError) as error:
        return [no_go("caches", f"{url} does not answer: {str(error) or 'no answer in time'}")]
    slow_s = sorted(took_s)[int(READS * 0.9)]
    hits = _sum(samples, "shop_availability_answers_total", source="memory")
    faults = []
    if slow_s > MOST_READ_S:
        faults.append(f"availability takes {slow_s * 1000:.0f} ms at P90: the shop is overloaded or far away")
    if not hits:
        faults.append("no request was answered from memory")
    fine = f"availability is answered from memory, {slow_s * 1000:.0f} ms at P90"
    checks = judged("caches", faults, fine)
    if SLOW_READ_S < slow_s <= MOST_READ_S:
        checks.append(note("caches", f"availability takes {slow_s * 1000:.0f} ms at P90: visitors notice such a delay"))
    return [*checks, *_clock(min(dates)), *_of_metrics(samples, sale)]


def _of_metrics(samples: Samples, sale: str) -> list[Check]:
    checks = []
    oversold = _sum(samples, "shop_oversold_units", sale=sale)
    checks += judged(
        "oversell", [f"{oversold:.0f} units are sold beyond the total"] * (oversold > 0), "no oversell alarm"
    )
    faults = []
    if _sum(samples, "shop_bus_up") != 1:
        faults.append("the event bus does not answer")
    for labels, lag in samples.get("shop_bus_lag", []):
        if lag > MOST_LAG:
            faults.append(f"the group {labels['group']} is {lag:.0f} messages of {labels['topic']} behind")
    for labels, count in samples.get("shop_bus_dead_letters", []):
        if count:
            faults.append(f"the group {labels['group']} has {count:.0f} dead letters: checkout events --dead")
    if _sum(samples, "shop_relay_blocked"):
        faults.append(
            "the relay is blocked: store and event bus have different histories (docs/runbooks.md#events-lag)"
        )
    if (behind := _sum(samples, "shop_relay_behind")) > MOST_LAG:
        faults.append(f"the bus lacks {behind:.0f} events")
    if (unforwarded := _sum(samples, "shop_events_unforwarded")) > MOST_LAG:
        faults.append(f"the forwarder is {unforwarded:.0f} events behind")
    checks += judged("events", faults, "the event bus has every event, and its groups have processed them")
    if unsettled := _sum(samples, "shop_payments_unsettled"):
        checks.append(note("payment", f"{unsettled:.0f} payments are not settled yet"))
    return checks


async def check_payment(settings: ShopSettings) -> list[Check]:
    """Ask the payment gateway about a payment that does not exist."""
    chosen = settings.payment
    if not chosen.url:
        return [no_go("payment", "the test bank takes no money: set payment.url")]
    try:
        async with BankClient.connected(chosen.url, chosen.timeout_seconds) as bank:
            await bank.lookup("preflight")
    except (NoAnswer, ValueError) as error:
        return [no_go("payment", f"{chosen.url}: {error}")]
    return [go("payment", f"{chosen.url} answers")]


async def check_notices(settings: ShopSettings) -> list[Check]:
    """Greet the mail server."""
    chosen = settings.notices
    if not chosen.smtp:
        return [note("notices", "no e-mail: notices.smtp is not set")]
    host, port = Address.parse(chosen.smtp)
    try:
        greeting = await asyncio.to_thread(_greeting, host, port)
    except OSError as error:
        return [no_go("notices", f"the mail server {chosen.smtp}: {error}")]
    if chosen.smtp_security != "tls" and not greeting.startswith(b"220"):
        return [no_go("notices", f"the mail server {chosen.smtp} says {greeting[:60]!r}")]
    return [go("notices", f"the mail server {chosen.smtp} answers")]


async def check_alerts(prometheus: str, session: ClientSession) -> list[Check]:
    """Ask Prometheus whether it has the shop's alerts, reads the shop, and whether an alert fires."""
    if not prometheus:
        return [no_go("alerts", "not checked: give the address of Prometheus with --prometheus")]
    address = prometheus.rstrip("/")
    try:
        async with session.get(f"{address}/api/v1/rules", params={"type": "alert"}) as answer:
            groups = (await answer.json())["data"]["groups"]
        async with session.get(f"{address}/api/v1/query", params={"query": "count(shop_store_up)"}) as answer:
            seen = (await answer.json())["data"]["result"]
    except (ClientError, TimeoutError, OSError, ValueError, KeyError, TypeError) as error:
        return [no_go("alerts", f"{prometheus}: {str(error) or type(error).__name__}")]
    rules = {rule["name"]: rule["state"] for group in groups for rule in group["rules"]}
    faults = []
    if missing := sorted(ALERTS - rules.keys()):
        faults.append(f"missing alerts: {', '.join(missing)} (deploy/prometheus/rules.yaml)")
    if not seen:
        faults.append("Prometheus does not read a shop: add its /metrics to scrape_configs")
    if firing := sorted(name for name, state in rules.items() if state == "firing"):
        faults.append(f"these alerts fire: {', '.join(firing)}")
    return judged("alerts", faults, f"{len(ALERTS)} alerts of the shop are set, and none fires")


def check_operator(settings: ShopSettings) -> list[Check]:
    """Look whether the operator can read orders and events during the sale."""
    name = settings.operator_token_env
    if len(os.environ.get(name, "")) < 16:
        return [
            note(
                "operator",
                f"{name} is not set here or has less than 16 characters: operators may be unable to log in",
            )
        ]
    return [go("operator", "there is an operator's token")]


def _greeting(host: str, port: int) -> bytes:
    with socket.create_connection((host, port), TIMEOUT_S) as server:
        server.settimeout(TIMEOUT_S)
        return server.recv(200)


def _date_skew(date: str) -> float:
    """Return how far the shop's clock is off, at least. Raises `ValueError` if there is no date."""
    theirs_s = parsedate_to_datetime(date).timestamp()
    return abs(time.time() - theirs_s - 0.5) - 0.5


def _clock(skew_s: float) -> list[Check]:
    if skew_s > MAX_DATE_SKEW_S:
        return [no_go("clocks", f"the shop's clock and the one of this machine differ by {skew_s:.0f} s: repair NTP")]
    return [go("clocks", "the shop's clock and the one of this machine agree")]


def _samples(text: str) -> Samples:
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def _sum(samples: Samples, name: str, **labels: str) -> float:
    rows = samples.get(name, [])
    return sum(value for found, value in rows if all(found.get(key) == text for key, text in labels.items()))


def client() -> ClientSession:
    """Return a client with a time limit on every request."""
    return ClientSession(timeout=ClientTimeout(total=TIMEOUT_S))
