"""What an operator may set: one YAML file or the command line, parsed once into frozen values.

pydantic reports all faults together, each with its path; unknown keys are faults.
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
    """Where to listen; port 0 lets the system choose."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "Address":
        """`HOST:PORT`, with an IPv6 host in brackets. Raises `ConfigurationError`."""
        host, colon, port = text.rpartition(":")
        if not colon or not host or not port.isdecimal() or int(port) > 65535:
            raise ConfigurationError(f"listen: HOST:PORT expected, got {text!r}")
        return cls(host.removeprefix("[").removesuffix("]"), int(port))


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ProductSettings(_Section):
    """The product of the shop's pages; its sale is opened at the first start."""

    title: str = "Meridian One, first edition"
    stock: Annotated[int, Field(ge=0)] = 500
    price_cents: Annotated[int, Field(ge=0)] = 24_900
    currency: str = "EUR"
    hold_seconds: Positive = 120.0
    per_user: Annotated[int, Field(ge=1)] = 1
    opens_in_seconds: NotNegative = 0.0


class CapacitySettings(_Section):
    """How much checkout can take: `checkouts_per_second` x `seconds_per_checkout` purchases run at once
    (Little's law), `backlog_seconds` worth more may wait for their turn, all others are answered 503.
    """

    checkouts_per_second: Positive = 3.0
    seconds_per_checkout: NotNegative = 2.0
    backlog_seconds: NotNegative = 2.0


class EngineSettings(_Section):
    """Where stock and orders live. `orders_url`: PostgreSQL behind a stock in Redis."""

    kind: Literal["sqlite", "redis", "postgres"] = "sqlite"
    path: str = ":memory:"
    url: str = ""
    orders_url: str = ""
    standby: bool = False


class PaymentSettings(_Section):
    """Who moves the money: a gateway's address, or empty for the test bank inside this process."""

    url: str = ""
    timeout_seconds: Positive = 10.0


class AccountSettings(_Section):
    """Sign-up and log-in: where accounts live, how many processes hash passwords, how many may wait for
    them.
    """

    path: str = ":memory:"
    workers: Annotated[int, Field(ge=1)] = 1
    backlog: Annotated[int, Field(ge=0)] = 8
    scrypt_cost: Literal[1024, 8192, 16384, 32768, 65536] = 32768


class ShopSettings(_Section):
    listen: str = "127.0.0.1:9000"
    sale: str = "launch"
    engine: EngineSettings = EngineSettings()
    product: ProductSettings = ProductSettings()
    capacity: CapacitySettings = CapacitySettings()
    payment: PaymentSettings = PaymentSettings()
    accounts: AccountSettings = AccountSettings()
    operator_token_env: str = "CHECKOUT_OPERATOR_TOKEN"
    without: tuple[Part, ...] = ()
    """What runs as a process of its own instead of in this one; only with the stock in Redis."""


def parse(raw: dict[str, Any]) -> ShopSettings:
    """Raises `ConfigurationError` with one line for each fault."""
    try:
        settings = ShopSettings.model_validate(raw)
    except ValidationError as error:
        lines = [
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}, got {fault['input']!r}" for fault in error.errors()
        ]
        raise ConfigurationError("\n".join(lines)) from error
    Address.parse(settings.listen)
    if settings.engine.kind != "sqlite" and not settings.engine.url:
        raise ConfigurationError(f"engine.url: needed for the {settings.engine.kind} engine")
    if settings.without and settings.engine.kind != "redis":
        raise ConfigurationError(f"without: the {settings.engine.kind} engine has one writer, which does it all")
    return settings


def read(path: Path) -> dict[str, Any]:
    """The raw settings of a YAML file. Raises `ConfigurationError`."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(f"{path}: {error}") from error
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise ConfigurationError(f"{path}: a mapping expected, got {type(raw).__name__}")
    return raw
