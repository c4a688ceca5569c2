"""Drafts: the TOML of a source, guessed from a sample of its tables."""
