"""The stores a shop can stand on. All pass one contract suite: `tests/checkout/engines/contract.py`."""
