"""A whole edge: supervisor, workers, shop, real sockets and signals."""
