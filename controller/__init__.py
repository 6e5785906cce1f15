"""How far the door is open."""
