"""Definitions: thin Dagster assets over the core. Importing any module here opens nothing."""
