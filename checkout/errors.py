"""The errors of the shop, by blame: the client, the operator, the store or the payment gateway (`gateway.NoAnswer`)."""


class CheckoutError(Exception):
    """Base class of all errors of this package."""


class ConfigurationError(CheckoutError):
    """The operator's settings are wrong. The message names the setting."""


class BadRequest(CheckoutError):
    """A client sent a request that the shop cannot read. The message says which part is wrong."""


class Conflict(CheckoutError):
    """A client's request does not fit the present state. `kind` is the stable name of the problem."""

    def __init__(self, kind: str, title: str, detail: str) -> None:
        super().__init__(detail)
        self.kind, self.title = kind, title


class UnknownCharset(BadRequest):
    """A client sent a body in a charset that the shop does not know."""


class StoreError(CheckoutError):
    """The store did not confirm a batch. Nothing of the batch happened, or nobody knows until it is sent again."""


class StockUnknown(StoreError):
    """The store is not in the state in which it was, so its stock counts for nothing until it has been checked."""


class NotLeader(StoreError):
    """Another process is the single writer."""
