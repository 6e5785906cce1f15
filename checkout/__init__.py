"""The shop behind the edge."""
