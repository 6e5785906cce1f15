"""Deny list, rate limits and bot score: what is checked before the room."""
