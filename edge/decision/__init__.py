"""One request's way to a verdict: classify, guard, room, gate, response."""
