"""The law: how many visitors are called, and the bucket that bounds admissions."""
