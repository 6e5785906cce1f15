"""`stanchion simulate`: play a sale on a virtual clock and compare it with the ideal line."""
