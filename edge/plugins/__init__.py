"""Load balancers ask for decisions here: endpoints, their dialects, the report of the shop's answers."""
