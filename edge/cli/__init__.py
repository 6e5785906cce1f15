"""The command line: `stanchion` and its commands."""
