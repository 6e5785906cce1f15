"""The catalogue: products with their SKUs, search, and the carts of visitors. It never decides about stock."""
