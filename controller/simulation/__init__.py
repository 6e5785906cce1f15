"""A flash sale on a virtual clock, played against the very `Gate` that the edge runs."""
