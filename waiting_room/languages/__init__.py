"""Data only: one JSON file a language, every word a visitor reads."""
