"""Lineage: what each artifact was made of, read from the manifests."""
