"""The code location: everything that Dagster loads."""

from recsys_pipeline.defs import build_definitions

defs = build_definitions()
