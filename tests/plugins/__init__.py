"""The line behind real load balancers: the same cases on every load balancer and way."""
