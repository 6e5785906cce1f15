"""What both SQL stores have in common: the rows, and the reads in SQL that SQLite and PostgreSQL understand alike.

Parameters are numbered as PostgreSQL does it, `$1`, `$2`, ...; SQLite writes `?1`, `?2`, ... (`for_sqlite`).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from importlib.resources import files
from operator import itemgetter
from typing import Any, ClassVar

from checkout.changes import Changes, KeyRecord
from checkout.engines.rows import hold_of
from checkout.evidence import Evidence, Order
from checkout.ledger import Ledger
from checkout.values import Event, Hold, Sale, State, Stock

HOLD = "id, sale, buyer, state, money, made_ms, ends_ms, charge"
SALES = "SELECT sales.*, free, held, sold, version FROM sales JOIN stock ON stock.sale = sales.id"
KEYS = (
    "SELECT key, fingerprint, hold, '', at_ms FROM events WHERE key<>'' AND at_ms >= $1",
    "SELECT key, fingerprint, hold, reason, at_ms FROM refusals WHERE at_ms >= $1",
)
#: The queries of the evidence, in the order of the arguments of `evidence_of`.
EVIDENCE = (
    f"{SALES} WHERE sales.id = $1",
    "SELECT * FROM events WHERE sale = $1 ORDER BY seq",
    f"SELECT {HOLD} FROM holds WHERE sale = $1",
    "SELECT * FROM orders WHERE sale = $1",
)
EVENT = "SELECT * FROM events WHERE seq = $1"
EVENTS_AFTER = "SELECT * FROM events WHERE seq > $1 ORDER BY seq"
LAST_EVENT = "SELECT * FROM events ORDER BY seq DESC LIMIT 1"
DUE = "state IN ('held', 'paying') AND ends_ms <= $1"


def schema() -> str:
    """Return the SQL that creates the tables, if they do not exist."""
    return files("checkout.engines").joinpath("schema.sql").read_text(encoding="utf-8")


def for_sqlite(sql: str) -> str:
    return sql.replace("$", "?")


class SqlReads(ABC):
    """The reads of a SQL store. Subclasses run a query and say how their dialect differs."""

    OLDEST_FIRST: ClassVar[str]
    """The columns that order sales by age."""
    SKIP_LOCKED: ClassVar[str] = ""
    """The clause that leaves out rows which another worker is claiming."""

    @abstractmethod
    async def _rows(self, sql: str, *args: Any) -> Sequence[Any]:
        """Return the rows of one statement. Raises `StoreError`."""

    @abstractmethod
    def _now_ms(self) -> int:
        """Read the store's clock."""

    async def sales(self) -> list[tuple[Sale, Stock]]:
        return [sale_of(row) for row in await self._rows(f"{SALES} ORDER BY {self.OLDEST_FIRST}")]

    async def stock(self, sale_id: str) -> Stock | None:
        rows = await self._rows("SELECT free, held, sold, version FROM stock WHERE sale = $1", sale_id)
        return Stock(*rows[0]) if rows else None

    async def holds(self, sale_id: str, user: str = "", limit: int = 1000) -> list[Hold]:
        where = "sale = $1 AND ($2 = '' OR buyer = $2) ORDER BY made_ms DESC, id LIMIT $3"
        return await self._holds(where, sale_id, user, limit)

    async def unsettled(self, limit: int = 1000) -> list[Hold]:
        return await self._holds("money = 'started' LIMIT $1", limit)

    async def events(self, sale_id: str, after_seq: int = 0, limit: int = 1000) -> list[Event]:
        sql = "SELECT * FROM events WHERE seq > $1 AND (sale = $2 OR $2 = '') ORDER BY seq LIMIT $3"
        return [Event(*row) for row in await self._rows(sql, after_seq, sale_id, limit)]

    async def overdue(self, limit: int = 1000) -> list[str]:
        sql = f"SELECT id FROM holds WHERE {DUE} ORDER BY ends_ms LIMIT $2"
        return [row[0] for row in await self._rows(sql, self._now_ms(), limit)]

    async def claim(self, owner: str, lease_ms: int, limit: int = 100) -> list[str]:
        sql = (
            "UPDATE holds SET queue_owner = $2, queue_lease_ms = $1 + $3 WHERE id IN "
            f"(SELECT id FROM holds WHERE {DUE} AND queue_lease_ms <= $1 "
            f"ORDER BY ends_ms LIMIT $4 {self.SKIP_LOCKED}) RETURNING id"
        )
        return [row[0] for row in await self._rows(sql, self._now_ms(), owner, lease_ms, limit)]

    async def _holds(self, where: str, *args: Any) -> list[Hold]:
        return [hold_of(row) for row in await self._rows(f"SELECT {HOLD} FROM holds WHERE {where}", *args)]


def ledger_of(ledger: Ledger, sales: Iterable[Any], holds: Iterable[Any], keys: Iterable[Any], last_seq: int) -> Ledger:
    """Load the rows of a store, of any driver, into a ledger. The keys are put in order of arrival."""
    records = [(row[0], KeyRecord(*row[1:])) for row in sorted(keys, key=itemgetter(4))]
    versions = [(sale, stock.version) for sale, stock in map(sale_of, sales)]
    ledger.load(versions, [hold_of(row) for row in holds], records, last_seq)
    return ledger


def evidence_of(
    sales: Sequence[Any], events: Iterable[Any], holds: Iterable[Any], orders: Iterable[Any], now_ms: int
) -> Evidence | None:
    """Return the evidence from the rows of the queries `EVIDENCE`, or None if there is no such sale."""
    if not sales:
        return None
    sale, stock = sale_of(sales[0])
    return Evidence(
        sale=sale,
        now_ms=now_ms,
        events=[Event(*row) for row in events],
        holds=[hold_of(row) for row in holds],
        orders=[Order(*row) for row in orders],
        stock=stock,
    )


def order_rows(changes: Changes) -> list[Order]:
    """Return the rows of the orders that the changes contain."""
    return [
        Order(event.hold, event.sale, event.user, event.charge, event.at_ms)
        for event in changes.events
        if event.kind == State.SOLD
    ]


def refusal_rows(changes: Changes) -> list[tuple[str, str, str, str, int]]:
    return [(key, *record) for key, record in changes.refusals.items()]


def changed_sales(changes: Changes) -> set[str]:
    return {event.sale for event in changes.events}


def sale_of(row: Sequence[Any]) -> tuple[Sale, Stock]:
    return Sale(*row[:9]), Stock(*row[9:])
