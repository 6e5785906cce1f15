"""Rooms: each room's door, vacancies and stock, redemption, binding of passes, join challenges, clock steps."""
