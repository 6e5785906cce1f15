"""Small tools without a domain of their own."""
