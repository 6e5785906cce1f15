"""Values that cross between the proxy, the decision and the processes."""
