"""How nodes hear of each other: over their supervisor on one machine, over Redis between machines."""
