"""The line: leases, what a node learns from the visitors that come back, and one view a mode."""
