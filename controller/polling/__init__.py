"""When a waiting visitor polls again: appointments and parked polls."""
