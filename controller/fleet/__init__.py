"""Several nodes as one: membership, shares of the capacity, the shared front and bucket."""
