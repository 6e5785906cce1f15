"""The database of the catalogue. A transaction is a generator of statements, so each is written once for both stores:

    def rename(product: str, title: str) -> Steps[bool]:
        rows = yield "UPDATE products SET title = $2 WHERE id = $1 RETURNING 1", (product, title)
        return bool(rows)

    await database.write(rename("watch", "Watch"))

It is another connection, and with SQLite another file, than the stock has. So no read here delays a decision.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from importlib.resources import files
from typing import Any, TypeVar

T = TypeVar("T")
Statement = tuple[str, Sequence[Any]]
Rows = Sequence[Sequence[Any]]
Steps = Generator[Statement, Rows, T]
"""The statements of one transaction; each `yield` returns the rows. Parameters are `$1`, `$2`, ..."""


class Database(ABC):
    """SQLite or PostgreSQL. Every method raises `StoreError` if the database does not answer."""

    is_sqlite: bool

    @abstractmethod
    async def read(self, sql: str, *args: Any) -> Rows:
        """Return the rows of one query."""

    @abstractmethod
    async def write(self, steps: Steps[T]) -> T:
        """Run the statements in one transaction and return its result. An error of the generator undoes it."""

    @abstractmethod
    async def close(self) -> None:
        """Close files and connections."""


def script(name: str) -> str:
    """Return the SQL of a file of this package."""
    return files("checkout.catalogue").joinpath(name).read_text(encoding="utf-8")


def drive(steps: Steps[T], execute: Callable[[str, Sequence[Any]], Rows]) -> T:
    """Run the statements one after the other with a function that executes at once."""
    try:
        sql, args = next(steps)
        while True:
            sql, args = steps.send(execute(sql, args))
    except StopIteration as end:
        result: T = end.value
        return result
