"""How the edge gets to where it runs: packages, image, charts, units, rules, dashboards. No product code."""
