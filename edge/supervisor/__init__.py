"""The process that owns sockets and settings, and starts the workers."""
