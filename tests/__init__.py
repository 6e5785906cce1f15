"""The tests mirror the source; `load/` plays a crowd, `browser/` looks at the page as visitors do."""
