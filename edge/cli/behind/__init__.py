"""Real load balancers as child processes, with the configurations of `edge.cli.plugin`: for the demo and the tests."""
