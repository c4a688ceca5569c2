"""Early stopping: training ends when validation has not become better for a while, and the best weights are kept."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from recsys_pipeline.core.errors import ModelError
from recsys_pipeline.core.learning.neural.networks import Weights


@dataclass(frozen=True)
class Stopping:
    """Stop after `patience` epochs in which `metric` has not become better than ever before.

    Ties are no improvement; neither is NaN.
    """

    metric: str
    patience: int
    better: Literal["higher", "lower"] = "higher"


class Best(NamedTuple):
    """The best epoch so far; a tree of arrays, since it is part of a checkpoint."""

    figure: Float64[np.ndarray, ""]
    epoch: Int64[np.ndarray, ""]
    weights: Weights


def nothing_yet(stopping: Stopping, start: Weights) -> Best:
    """Before the first epoch: any figure is better."""
    worst = -math.inf if stopping.better == "higher" else math.inf
    return Best(np.array(worst, np.float64), np.array(0, np.int64), start)


def better_of(stopping: Stopping, best: Best, epoch: int, told: Mapping[str, float], weights: Weights) -> Best:
    """The best epoch, this one included; raises `ModelError` where validation does not tell the metric."""
    if stopping.metric not in told:
        raise ModelError(
            f"early stopping watches {stopping.metric!r}, but validation tells {', '.join(told) or 'nothing'}: "
            "give the training validation rows, or take another metric"
        )
    figure = told[stopping.metric]
    improved = figure > best.figure if stopping.better == "higher" else figure < best.figure
    return Best(np.array(figure, np.float64), np.array(epoch, np.int64), weights) if improved else best


def is_over(stopping: Stopping, best: Best, epoch: int) -> bool:
    """Whether `patience` epochs have passed since the best."""
    return epoch - int(best.epoch) >= stopping.patience
