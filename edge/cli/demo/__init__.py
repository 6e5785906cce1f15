"""The demo: a small shop, the edge in front of it, and a crowd, on one machine."""
