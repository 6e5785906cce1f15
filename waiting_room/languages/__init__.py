"""Data only: one JSON file for each language, with all texts that a visitor reads."""
