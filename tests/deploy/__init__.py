"""Everything in `deploy/` is validated by a real tool. A tool that is missing is named by the test that needs it."""
