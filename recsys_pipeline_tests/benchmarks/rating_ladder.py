"""RMSE of the ladder of rating models: MF, SVD++, flipped, with time bins; as a mode and by Gibbs sampling.

    RECSYS_TEST_DATA=<folder> python -m recsys_pipeline_tests.benchmarks.rating_ladder ml-100k|ml-1m [--rungs NAMES]

MovieLens 100K: the official folds u1 to u5. MovieLens 1M: five random folds (seed 0); the file has no times, so it has
no rungs with time bins. Each rung tries its few configs on a random tenth of the first fold's train (a fifth on 100K),
takes the one with the least RMSE there, fits it on the train of every fold and measures it once on its test.
Predictions are clipped to the range of the training values. Prints a table, then JSON.

Measured, best rung: 100K .8785 (svdpp_flipped, 1.3 s per fold) and .8800 (bayesian_flipped_time, 5.5 s); 1M .8249
(svdpp_flipped, 8 s) and .8263 (bayesian_flipped, 87 s), on two cores that were shared with other work. All rungs take
about 2 minutes on 100K and half an hour on 1M.

Compare: SVD .934 and .873, SVD++ .919 and .862 (100K and 1M, five random folds; Surprise's README).
"""

import argparse
import dataclasses
import itertools
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recsys_pipeline.core.folds.k_fold import k_fold
from recsys_pipeline.core.models import bayesian_mf, svdpp
from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline.core.reports.accuracy.rating_metrics import rmse
from recsys_pipeline_tests.benchmarks.ml100k_rmse import read_fold

SEED = 0
Fold = tuple[Ratings, Ratings]

PLAIN = {"user_history": False, "item_history": False}
LADDER: dict[str, tuple[Any, dict[str, Any]]] = {
    "mf": (svdpp, PLAIN),
    "svdpp": (svdpp, {"user_history": True, "item_history": False}),
    "svdpp_flipped": (svdpp, {}),
    "svdpp_flipped_time": (svdpp, {"item_time_bins": 10, "user_time_bin_days": 1.0}),
    "bayesian_mf": (bayesian_mf, PLAIN),
    "bayesian_svdpp": (bayesian_mf, {"user_history": True, "item_history": False}),
    "bayesian_flipped": (bayesian_mf, {}),
    "bayesian_flipped_time": (bayesian_mf, {"item_time_bins": 10, "user_time_bin_days": 1.0}),
}
GRIDS: dict[Any, dict[str, dict[str, list[Any]]]] = {
    svdpp: {
        "ml-100k": {"embedding_size": [15, 31], "reg": [8.0, 14.0, 20.0, 28.0], "history_reg": [10.0, 20.0, 40.0]},
        "ml-1m": {"embedding_size": [31], "reg": [10.0, 16.0, 24.0], "history_reg": [20.0, 60.0, 120.0]},
    },
    bayesian_mf: {"ml-100k": {"embedding_size": [5, 8, 12]}, "ml-1m": {"embedding_size": [12, 20]}},
}


def configs_of(rung: str, data: str) -> list[Any]:
    """Every config that a rung tries."""
    model, fixed = LADDER[rung]
    grid = GRIDS[model][data]
    if not fixed.get("user_history", True):
        grid = {name: values for name, values in grid.items() if name != "history_reg"}
    combinations = (dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values()))
    return [model.SPEC.config(**fixed, **chosen) for chosen in combinations]


def ml_100k(folder: Path) -> list[Fold]:
    """The official folds."""
    return [
        (read_fold(folder / "ml-100k" / f"u{number}.base"), read_fold(folder / "ml-100k" / f"u{number}.test"))
        for number in range(1, 6)
    ]


def ml_1m(folder: Path) -> list[Fold]:
    """Five random folds."""
    table = pd.read_csv(folder / "ml-1m" / "ratings_no_ts.csv.gz")
    (user_ids, user), (item_ids, item) = (np.unique(table[name], return_inverse=True) for name in ("userId", "movieId"))
    ratings = Ratings(
        user=user.astype(np.int32),
        item=item.astype(np.int32),
        value=table["rating"].to_numpy(np.float32),
        timestamp_us=np.zeros(len(table), np.int64),
        n_users=len(user_ids),
        n_items=len(item_ids),
    )
    return [(ratings.take(split.train), ratings.take(split.test)) for split in k_fold(ratings, 5, SEED)]


def measure(model: Any, config: Any, train: Ratings, test: Ratings) -> tuple[float, float]:
    """RMSE on `test`, and the seconds of the fit."""
    start = time.perf_counter()
    fitted = model.fit(train, config, SEED)
    seconds = time.perf_counter() - start
    predicted = np.clip(fitted.values(test), train.value.min(), train.value.max())
    return rmse(predicted - test.value), seconds


def choose(rung: str, data: str, train: Ratings) -> tuple[Any, float]:
    """The rung's best config on a part of `train` that it was not fitted on, and its RMSE there."""
    held_out = np.random.default_rng(SEED).random(len(train)) < (0.2 if data == "ml-100k" else 0.1)
    fitted, validation = train.take(~held_out), train.take(held_out)
    tried = [(config, measure(LADDER[rung][0], config, fitted, validation)[0]) for config in configs_of(rung, data)]
    return min(tried, key=lambda pair: pair[1])


def climb(data: str, rungs: Sequence[str], folds: list[Fold]) -> list[dict[str, Any]]:
    """One row per rung."""
    rows = []
    print(f"{'rung':24}{'validation':>11}{'mean RMSE':>11}{'s per fold':>12}  folds")
    for rung in rungs:
        config, validation = choose(rung, data, folds[0][0])
        measured = [measure(LADDER[rung][0], config, *fold) for fold in folds]
        errors, seconds = (np.array(column) for column in zip(*measured, strict=True))
        shown = " ".join(f"{error:.4f}" for error in errors)
        print(f"{rung:24}{validation:>11.4f}{errors.mean():>11.4f}{seconds.mean():>12.1f}  {shown}", flush=True)
        figures = {"validation": validation, "rmse": errors.mean(), "folds": errors.tolist(), "seconds": seconds.mean()}
        rows.append({"rung": rung, **figures, "config": dataclasses.asdict(config)})
    return rows


def main() -> None:
    """Climb the ladder, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("data", choices=["ml-100k", "ml-1m"])
    parser.add_argument("--rungs", help=f"some of {','.join(LADDER)}")
    arguments = parser.parse_args()
    everything = [rung for rung in LADDER if arguments.data == "ml-100k" or not rung.endswith("_time")]
    rungs = arguments.rungs.split(",") if arguments.rungs else everything
    read = ml_100k if arguments.data == "ml-100k" else ml_1m
    rows = climb(arguments.data, rungs, read(Path(os.environ["RECSYS_TEST_DATA"])))
    print(json.dumps({"data": arguments.data, "seed": SEED, "rungs": rows}))


if __name__ == "__main__":
    main()
