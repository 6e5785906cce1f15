"""Tests in real browsers that take long: `make browser-test` runs them, `make test` does not."""
