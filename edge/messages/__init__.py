"""Values that cross between the proxy, the decision, the plugins and the processes."""
