"""A W&B server for tests, which the unmodified client takes for the real one."""

from recsys_pipeline_tests.wandb_double.double import WandbDouble
from recsys_pipeline_tests.wandb_double.views import ArtifactRecord, Edge, Request, RunRecord, SweepRecord

__all__ = ["ArtifactRecord", "Edge", "Request", "RunRecord", "SweepRecord", "WandbDouble"]
