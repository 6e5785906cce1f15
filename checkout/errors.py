"""What can go wrong in the shop, by whose fault it is: the client's, the operator's, the store's or the
gateway's.
"""


class CheckoutError(Exception):
    """Base of all errors of this package."""


class ConfigurationError(CheckoutError):
    """The operator's settings are wrong; the message says where."""


class BadRequest(CheckoutError):
    """What a client sent cannot be understood; the text says what."""


class StoreError(CheckoutError):
    """The store did not take a batch: nothing of it happened, or its answer is unknown until it is asked
    again.
    """


class NotLeader(StoreError):
    """Another process is the single writer."""
