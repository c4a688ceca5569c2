"""Learning: sweeps that find the settings which the daily models take."""

from recsys_pipeline.defs.learning.assets import SWEEP_ASSETS

__all__ = ["SWEEP_ASSETS"]
"""The sweep assets: one row is a trial."""
