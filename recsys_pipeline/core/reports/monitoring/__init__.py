"""What the data and the lists of a day look like, and how far that is from a reference."""
