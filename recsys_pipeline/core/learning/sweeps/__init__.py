"""Search of settings: sweep files, trials that train together, early stopping, importance."""
