"""How well items are served on the day on which people first interact with them."""
