"""What is served, as it stands in the store: the champion's pointer and moves, and the hourly overlays over it."""
