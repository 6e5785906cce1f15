"""The line: leases, what a node learns from the visitors who come back, and one view a mode."""
