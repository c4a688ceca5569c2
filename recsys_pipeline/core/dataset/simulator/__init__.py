"""A marketplace with known truth: the data source that needs no data, no network and no account."""

from recsys_pipeline.core.dataset.simulator.config import SIZES, SimulatorConfig
from recsys_pipeline.core.dataset.simulator.source import Simulator

__all__ = ["SIZES", "Simulator", "SimulatorConfig"]
