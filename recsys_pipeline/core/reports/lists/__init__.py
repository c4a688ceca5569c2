"""What lists are like beyond their hits: variety, exposure, churn, slices of users and items, the map of items."""
