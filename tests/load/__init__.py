"""A crowd against a running edge."""
