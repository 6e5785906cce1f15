"""What an operator may set, parsed once into frozen values. The command line's defaults stand here."""

from dataclasses import dataclass, field

from checkout.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Address:
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


@dataclass(frozen=True, slots=True)
class ProductSettings:
    """The one product of a shop that is started from the command line."""

    title: str = "Meridian One, first edition"
    stock: int = 500
    price_cents: int = 24_900
    currency: str = "EUR"
    hold_s: float = 120.0
    per_user: int = 1


@dataclass(frozen=True, slots=True)
class CapacitySettings:
    """How much checkout can take: `checkouts_per_second` x `seconds_per_checkout` purchases run at once
    (Little's law), `backlog_s` seconds' worth more may wait for their turn, all others are answered 503."""

    checkouts_per_second: float = 3.0
    seconds_per_checkout: float = 2.0
    backlog_s: float = 2.0


@dataclass(frozen=True, slots=True)
class ShopSettings:
    listen: Address = Address("127.0.0.1", 9000)
    database: str = ":memory:"
    product: ProductSettings = field(default_factory=ProductSettings)
    capacity: CapacitySettings = field(default_factory=CapacitySettings)
    sale_id: str = "launch"

    def __post_init__(self) -> None:
        faults = []
        if self.product.stock < 0:
            faults.append(f"stock: must be >= 0, got {self.product.stock}")
        if self.product.hold_s <= 0:
            faults.append(f"hold-seconds: must be > 0, got {self.product.hold_s}")
        if self.product.per_user < 1:
            faults.append(f"per-user: must be >= 1, got {self.product.per_user}")
        if self.capacity.checkouts_per_second <= 0:
            faults.append(f"checkouts-per-second: must be > 0, got {self.capacity.checkouts_per_second}")
        if self.capacity.seconds_per_checkout < 0:
            faults.append(f"seconds-per-checkout: must be >= 0, got {self.capacity.seconds_per_checkout}")
        if self.capacity.backlog_s < 0:
            faults.append(f"backlog-seconds: must be >= 0, got {self.capacity.backlog_s}")
        if faults:
            raise ConfigurationError("\n".join(faults))
