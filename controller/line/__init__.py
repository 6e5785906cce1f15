"""The line: leases, what a node learns from who comes back, and one view a mode."""
