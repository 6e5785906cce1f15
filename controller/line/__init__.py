"""The line as a node estimates it: leases, estimators, the forecast."""
