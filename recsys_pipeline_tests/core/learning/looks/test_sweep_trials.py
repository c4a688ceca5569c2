"""Trials of shop the look under a sweep: judged by their last epoch, stopped at rungs, broken ones set apart."""

from typing import Any

import numpy as np

from recsys_pipeline.core.folds.triplets import LooksTrain
from recsys_pipeline.core.learning.looks.config import StlConfig
from recsys_pipeline.core.learning.looks.sweep_trials import LookTrials
from recsys_pipeline.core.learning.sweeps.sweep import Proposal, SweepResult, parse_sweep, run_batches
from recsys_pipeline.core.progress import Progress
from recsys_pipeline_tests.look_fixtures import look_data

ROWS = np.arange(6, dtype=np.int32)
TRAIN = LooksTrain(look_data(size=4), ROWS, ROWS[:0])
SWEEP = """
name: s
method: grid
metric: {name: validation_accuracy, goal: maximize}
parameters:
  reg: {values: [0.1, 0.2, 0.3, 0.05]}
  epochs: {value: 4}
"""


def fitted(train: LooksTrain, config: Any, seed: int, progress: Progress) -> None:
    """A training that gets better by `reg` with every epoch, and cannot take .3."""
    assert (train, seed) == (TRAIN, 7)
    for epoch in range(1, config.epochs + 1):
        if config.reg == 0.3:
            raise ValueError("too much")
        progress("", {"epoch": epoch, "loss": 1.0, "validation_accuracy": epoch * config.reg})


def swept(text: str) -> SweepResult:
    sweep = parse_sweep(text, StlConfig)
    return run_batches(sweep, LookTrials(fitted, TRAIN, 7, sweep.metric), 4, 0, 1)


def test_the_last_epoch_decides_and_a_broken_trial_is_a_failed_one() -> None:
    result = swept(SWEEP)
    assert [trial.state for trial in result.trials] == ["finished", "finished", "failed", "finished"]
    assert result.trials[0].metrics == {"loss": 1.0, "validation_accuracy": 0.4}
    assert result.trials[2].error == "ValueError: too much"
    assert result.best_config.reg == 0.2


def test_bad_trials_stop_at_a_rung() -> None:
    result = swept(SWEEP + "early_terminate: {type: hyperband, min_iter: 2, eta: 2}\n")
    assert [trial.state for trial in result.trials] == ["finished", "finished", "failed", "stopped"]
    assert result.trials[3].rungs == {2: 0.1}
    assert result.trials[3].metrics["validation_accuracy"] == 0.1
    assert result.best_config.reg == 0.2


def test_every_epoch_is_told_and_a_trial_may_be_stopped_from_outside() -> None:
    told: list[int] = []

    def report(metrics: Any) -> bool:
        told.append(metrics["epoch"])
        return metrics["epoch"] < 2

    trials = LookTrials(fitted, TRAIN, 7, "validation_accuracy")
    (found,) = trials([Proposal(0, {}, StlConfig(reg=0.1, epochs=4), report=report)], None)
    assert told == [1, 2]
    assert found[0].stopped
    assert found[0].metrics["validation_accuracy"] == 0.2
