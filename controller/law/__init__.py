"""The number: how far the door is open, and the bucket that bounds admissions."""
