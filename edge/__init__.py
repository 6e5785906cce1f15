"""How bytes move: from the socket through the pipeline to the waiting page or the upstream."""
