"""Learning: sweeps that find the configs which the daily models take."""

from recsys_pipeline.defs.learning.assets import als_sweep, stl_sweep

__all__ = ["als_sweep", "stl_sweep"]
