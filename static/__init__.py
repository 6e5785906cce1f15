"""Data only: what the pages load. A real package, so that no stray folder `static` can take its place."""
