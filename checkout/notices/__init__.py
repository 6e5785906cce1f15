"""Notices to visitors: planned from events, kept in an outbox, sent once by e-mail and webhook."""
