"""Learning: sweeps that find the settings which the daily models take; `assets` holds them."""
