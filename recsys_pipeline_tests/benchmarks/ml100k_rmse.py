"""RMSE of ALS on MovieLens 100K's five official folds, with settings found on u1.base alone.

    RECSYS_TEST_DATA=<folder> python -m recsys_pipeline_tests.benchmarks.ml100k_rmse [--trials 30] [--seed 0]

A fifth of u1.base is held out at random; the shipped sweep `conf/sweeps/als_rmse.yaml` picks the config with the least
RMSE there; that config is fitted on each u*.base and measured once on u*.test. Predictions are clipped to the range of
the training values. Compare: SVD .934, SVD++ .919, KNNBaseline .931 (Surprise's README, five random folds).
Takes about a minute on two free cores. Prints a table, then JSON.
"""

import argparse
import dataclasses
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

from recsys_pipeline.core.learning.sweeps.sweep import SweepResult, Trial, Watch, parse_sweep, run_sweep
from recsys_pipeline.core.models import als
from recsys_pipeline.core.ratings import Ratings

SWEEP = Path(__file__).parents[2] / "conf" / "sweeps" / "als_rmse.yaml"
N_USERS, N_ITEMS = 943, 1682


def read_fold(path: Path) -> Ratings:
    """One of the tab-separated files u1.base … u5.test."""
    table = pd.read_csv(path, sep="\t", header=None, names=["user", "item", "value", "timestamp_s"])
    return Ratings(
        user=table["user"].to_numpy(np.int32) - 1,
        item=table["item"].to_numpy(np.int32) - 1,
        value=table["value"].to_numpy(np.float32),
        timestamp_us=table["timestamp_s"].to_numpy(np.int64) * 1_000_000,
        n_users=N_USERS,
        n_items=N_ITEMS,
    )


def rmse(model: als.AlsModel, train: Ratings, test: Ratings) -> float:
    """Root mean squared error of the clipped predictions."""
    predicted = (model.user_vectors()[test.user] * model.item_vectors()[test.item]).sum(axis=1)
    predicted = np.clip(predicted, train.value.min(), train.value.max())
    return float(np.sqrt(np.mean((predicted - test.value) ** 2)))


class Printed(Watch):
    """A line per trial."""

    def ended(self, trial: Trial) -> None:
        print(f"trial {trial.number:2d} rmse {trial.metrics.get('rmse', float('nan')):.4f}", file=sys.stderr)


def sweep_on(train: Ratings, trials: int, seed: int) -> SweepResult:
    """The shipped sweep on a random fifth of `train`, which no fold's test set is part of."""
    held_out = np.random.default_rng(seed).random(len(train)) < 0.2
    fitted, validation = train.take(~held_out), train.take(held_out)
    sweep = parse_sweep(SWEEP.read_text(), als.AlsConfig, SWEEP.name)
    return run_sweep(
        sweep,
        lambda config, _: {"rmse": rmse(als.fit(fitted, config, seed), fitted, validation)},
        trials,
        seed,
        watch=Printed(),
    )


def main() -> None:
    """Sweep, fit five folds, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    folder = Path(os.environ["RECSYS_TEST_DATA"]) / "ml-100k"
    start = time.perf_counter()
    found = sweep_on(read_fold(folder / "u1.base"), arguments.trials, arguments.seed)
    folds = {}
    for number in range(1, 6):
        train, test = (read_fold(folder / f"u{number}.{part}") for part in ("base", "test"))
        folds[f"u{number}"] = rmse(als.fit(train, found.best_config, arguments.seed), train, test)
        print(f"u{number}    {folds[f'u{number}']:.4f}")
    mean = float(np.mean(list(folds.values())))
    print(f"mean  {mean:.4f}")
    seconds = time.perf_counter() - start
    config = dataclasses.asdict(found.best_config)
    validation = found.best.metrics["rmse"]
    print(json.dumps({"rmse": mean, "folds": folds, "validation": validation, "config": config, "seconds": seconds}))


if __name__ == "__main__":
    main()
