"""What a visitor carries and sees: ticket and pass, the status document, the page."""
