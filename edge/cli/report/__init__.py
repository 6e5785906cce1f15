"""`stanchion report`: what happened in a room, as one HTML page, from its record."""
