"""A synthetic crowd of visitors against a running edge."""
