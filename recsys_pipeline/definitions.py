"""The code location: everything that Dagster loads."""

from recsys_pipeline.defs.building import Deployment, build_definitions

defs = build_definitions(Deployment.configured())
