"""A request's way to its verdict: classify the head, check the limits, ask the room, build the response."""
