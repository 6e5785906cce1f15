"""The record of a room: what happened to each visitor, on disk, compact, bounded, without personal data."""
