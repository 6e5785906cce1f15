"""Metrics, logs and the audit trail."""
