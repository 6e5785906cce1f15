"""Several processes on one port: a supervisor that owns the sockets, and workers that serve them."""
