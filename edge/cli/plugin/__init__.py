"""`stanchion plugin`: complete configurations of load balancers that ask this edge."""
