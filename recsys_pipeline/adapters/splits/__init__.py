"""Ready-made splits of other people, for `recsys evaluate`."""
