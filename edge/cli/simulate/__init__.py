"""`stanchion simulate`: a sale on a virtual clock, measured against the perfect line, as a table, JSON or a report."""
