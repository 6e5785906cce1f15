"""The process that serves visitors. The supervisor starts several of them on one port."""
