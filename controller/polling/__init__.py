"""When a waiting visitor polls again: appointments, the budget of polls, parked polls."""
