"""The event bus: what the shop tells its other parts, in order, and what they have taken of it."""
