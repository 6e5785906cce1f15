"""The settings of the shop: one YAML file or the command line, parsed once into frozen values.

pydantic reports all faults together, each with its path. An unknown key is a fault.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from checkout.errors import ConfigurationError

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Part = Literal["forwarder", "sweeper"]


class Address(NamedTuple):
    """The address to listen on. With port 0 the system chooses a port."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str, setting: str = "listen") -> "Address":
        """Parse `HOST:PORT`; an IPv6 host stands in brackets. Raises `ConfigurationError` that names the setting."""
        host, colon, port = text.rpartition(":")
        if not colon or not host or not port.isdecimal() or int(port) > 65535:
            raise ConfigurationError(f"{setting}: expected HOST:PORT, got {text!r}")
        return cls(host.removeprefix("[").removesuffix("]"), int(port))


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ProductSettings(_Section):
    """The product on the shop's pages. Its sale is opened at the first start."""

    title: str = "Meridian One, first edition"
    stock: Annotated[int, Field(ge=0)] = 500
    price_cents: Annotated[int, Field(ge=0)] = 24_900
    currency: str = "EUR"
    hold_seconds: Positive = 120.0
    per_user: Annotated[int, Field(ge=1)] = 1
    opens_in_seconds: NotNegative = 0.0


class CapacitySettings(_Section):
    """The load that checkout can take.

    `checkouts_per_second` x `seconds_per_checkout` purchases run at once (Little's law), and
    `checkouts_per_second` x `backlog_seconds` more may wait. All others get a 503.
    """

    checkouts_per_second: Positive = 3.0
    seconds_per_checkout: NotNegative = 2.0
    backlog_seconds: NotNegative = 2.0


class EngineSettings(_Section):
    """The store of stock and orders. `orders_url`: PostgreSQL for the orders, if the stock is in Redis.

    `journal`: a file beside a leader of PostgreSQL that gets every batch as well. SQLite always has one.
    """

    kind: Literal["sqlite", "redis", "postgres"] = "sqlite"
    path: str = ":memory:"
    url: str = ""
    orders_url: str = ""
    standby: bool = False
    journal: str = ""


class PaymentSettings(_Section):
    """The payment gateway. An empty address selects the test bank inside this process."""

    url: str = ""
    timeout_seconds: Positive = 10.0


class AccountSettings(_Section):
    """Sign-up and log-in: the SQLite file, the processes that hash passwords, the passwords that may wait for them."""

    path: str = ":memory:"
    workers: Annotated[int, Field(ge=1)] = 1
    backlog: Annotated[int, Field(ge=0)] = 8
    scrypt_cost: Literal[1024, 8192, 16384, 32768, 65536] = 32768


class EventSettings(_Section):
    """The event bus: a SQLite file, Redis, or NATS. `auto`: Redis if the stock is in Redis, else the file.

    An empty `url` is that of the engine; an empty `path` is `engine.path` with `.events`, or memory.
    """

    kind: Literal["auto", "embedded", "redis", "nats"] = "auto"
    url: str = ""
    path: str = ""
    lease_seconds: Positive = 30.0


class NoticeSettings(_Section):
    """Notices to visitors. `smtp` is HOST:PORT of a mail server, `webhook` an address; empty ones send nothing."""

    smtp: str = ""
    smtp_from: str = ""
    smtp_security: Literal["none", "starttls", "tls"] = "starttls"
    smtp_user_env: str = "CHECKOUT_SMTP_USER"
    smtp_password_env: str = "CHECKOUT_SMTP_PASSWORD"
    webhook: str = ""
    webhook_secret_env: str = "CHECKOUT_WEBHOOK_SECRET"
    line_secret_env: str = "CHECKOUT_LINE_SECRET"
    path: str = ""
    ending_seconds: Positive = 30.0

    @property
    def are_sent(self) -> bool:
        """Whether there is a way to send."""
        return bool(self.smtp or self.webhook)


class CatalogueSettings(_Section):
    """Products, search and carts. An empty place: that of the engine (SQLite: a file beside the stock's).

    `path`: a SQLite file. `url`: PostgreSQL. `redis_url`: Redis for carts and as the second level of the cache.
    `file`: products that are created at the first start.
    """

    path: str = ""
    url: str = ""
    redis_url: str = ""
    file: str = ""


class ShopSettings(_Section):
    listen: str = "127.0.0.1:9000"
    sale: str = "launch"
    engine: EngineSettings = EngineSettings()
    product: ProductSettings = ProductSettings()
    capacity: CapacitySettings = CapacitySettings()
    payment: PaymentSettings = PaymentSettings()
    accounts: AccountSettings = AccountSettings()
    events: EventSettings = EventSettings()
    notices: NoticeSettings = NoticeSettings()
    catalogue: CatalogueSettings = CatalogueSettings()
    operator_token_env: str = "CHECKOUT_OPERATOR_TOKEN"
    without: tuple[Part, ...] = ()
    """Services that run as separate processes instead of in this one. Possible only if the stock is in Redis."""


def parse(raw: dict[str, Any]) -> ShopSettings:
    """Check the raw settings. Raises `ConfigurationError` with one line for each fault."""
    try:
        settings = ShopSettings.model_validate(raw)
    except ValidationError as error:
        lines = [
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}, got {fault['input']!r}" for fault in error.errors()
        ]
        raise ConfigurationError("\n".join(lines)) from error
    Address.parse(settings.listen)
    if settings.engine.kind != "sqlite" and not settings.engine.url:
        raise ConfigurationError(f"engine.url: required by the {settings.engine.kind} engine")
    if settings.engine.kind == "redis" and not settings.engine.orders_url:
        raise ConfigurationError(
            "engine.orders_url: required by the redis engine; a Redis alone can lose orders that buyers were told "
            "(a torn file, a failover to a replica that lags), and the shop would sell their units again"
        )
    if settings.catalogue.path and settings.catalogue.url:
        raise ConfigurationError("catalogue: set path (SQLite) or url (PostgreSQL), not both")
    if settings.catalogue.path and settings.engine.kind == "redis":
        raise ConfigurationError(
            "catalogue.path: a SQLite file is for one process, and the redis engine serves with several; leave it empty"
        )
    if settings.engine.journal and settings.engine.kind != "postgres":
        raise ConfigurationError(
            f"engine.journal: only for postgres; {settings.engine.kind} needs none (docs/shop.md, What can be lost)"
        )
    if settings.events.kind == "nats" and not settings.events.url:
        raise ConfigurationError("events.url: required by nats, for example nats://HOST:4222")
    if settings.events.kind == "redis" and not settings.events.url and settings.engine.kind != "redis":
        raise ConfigurationError("events.url: required, because the stock is not in Redis")
    _check_notices(settings.notices)
    if settings.without and settings.engine.kind != "redis":
        raise ConfigurationError(
            f"without: the {settings.engine.kind} engine has one writer; it needs no other process"
        )
    return settings


def _check_notices(notices: NoticeSettings) -> None:
    if notices.smtp:
        Address.parse(notices.smtp, "notices.smtp")
        if "@" not in notices.smtp_from or not notices.smtp_from.isprintable() or " " in notices.smtp_from:
            raise ConfigurationError(
                f"notices.smtp_from: expected an address like shop@example.com, got {notices.smtp_from!r}"
            )
    if notices.webhook and not notices.webhook.startswith(("http://", "https://")):
        raise ConfigurationError(f"notices.webhook: must begin with https:// or http://, got {notices.webhook!r}")


def read(path: Path) -> dict[str, Any]:
    """Read the raw settings from a YAML file. Raises `ConfigurationError`."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(f"{path}: {error}") from error
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise ConfigurationError(f"{path}: expected a mapping, got {type(raw).__name__}")
    return raw
