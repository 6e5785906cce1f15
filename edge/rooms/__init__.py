"""A room's state: stock, redemption, join challenges, clock steps."""
