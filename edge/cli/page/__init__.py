"""`stanchion page`: a template to begin with, and the preview of all views."""
