"""What a visitor carries and sees: the ticket and the pass, the status document, the waiting page."""
