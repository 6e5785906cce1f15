"""Who is kept out, and how often who may ask."""
