"""Workers: their schedule, and what a whole edge does under load."""
