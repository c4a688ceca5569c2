"""Ways to find products for scenes, and how well they do."""
