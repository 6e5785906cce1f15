"""Data only: the files that the pages load. A real package, so that no other folder `static` can replace it."""
