"""A shop for one sale with a fixed number of units: it never oversells, loses a unit or charges twice."""
