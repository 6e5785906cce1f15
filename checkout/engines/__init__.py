"""The stores of the shop. All pass the same contract tests (`tests/checkout/engines/contract.py`)."""
