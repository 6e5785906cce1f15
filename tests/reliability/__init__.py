"""What the edge promises to withstand, measured: `make reliability`."""
