"""A flash sale on a virtual clock, played against the same `Gate` class that the edge runs."""
