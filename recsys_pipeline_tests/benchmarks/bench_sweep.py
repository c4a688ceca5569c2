"""The book's sweep, 50 trials × 5 folds of matrix factorisation on MovieLens 100K: ours against its loop.

    RECSYS_TEST_DATA=<folder> python -m recsys_pipeline_tests.benchmarks.bench_sweep [--trials 50] [--steps 500]

The book (Bischof and Yee, "Building Recommendation Systems in Python and JAX", 2023, the sweep of regularised matrix
factorisation with W&B) trains trial by trial and fold by fold, by full-batch gradient descent in JAX on the doubly
regularised objective with biases and gravity: one call of a jitted step per step. That loop is written here as the
baseline, without two faults of the original: validation rows are not those trained on, and all 943 × 1682 ids fit. Two
of its trials are measured and extrapolated to all. Their settings are the best two of 14 that were drawn at random
and watched for 500 steps on the first fold, so that the baseline's RMSE is a good one; its RMSE is the least of those
after each `--watch` steps, which stops it at its best moment. Its learning rate is large because the error is a mean.

Ours is the project's own search: Bayesian, the trials of each embedding size and their folds trained together, bad
ones stopped after 2 or 6 of 8 epochs. Both have the same five random folds, use both cores, and are timed with
compilation (numba's kernels come from its cache where an earlier run left them). RMSE is over the validation rows of
each fold, not clipped; the mean over the folds is the target. Prints a table, then JSON; about a minute on two cores.
"""

import argparse
import json
import os
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from recsys_pipeline.core.folds.k_fold import k_fold
from recsys_pipeline.core.learning.sweeps.fused import FusedTrials
from recsys_pipeline.core.learning.sweeps.sweep import parse_sweep, run_batches
from recsys_pipeline.core.models import als
from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline_tests.benchmarks.ml100k_rmse import read_fold

SWEEP = """
name: the book's sweep
method: bayes
metric: {name: rmse, goal: minimize}
early_terminate: {type: hyperband, min_iter: 2, eta: 3}
parameters:
  solver: {value: als}
  target: {value: value}
  gravity: {value: 0.0}
  half_life_days: {value: 0.0}
  use_user_bias: {value: true}
  use_item_bias: {value: true}
  use_global_bias: {value: true}
  reg: {distribution: log_uniform_values, min: 0.08, max: 0.4}
  frequency_power: {distribution: uniform, min: 0.0, max: 0.8}
  bias_reg: {distribution: log_uniform_values, min: 0.005, max: 0.2}
  embedding_size: {values: [15, 31]}
  epochs: {value: 8}
"""


class BookTrial(NamedTuple):
    """Settings of the loop: λ_R, λ_B and λ_G as in `factorization.py`, but the same for every row."""

    embedding_size: int
    learning_rate: float
    reg: float
    bias_reg: float
    gravity: float


BOOK_TRIALS = (BookTrial(32, 86.0, 0.206, 0.015, 0.0), BookTrial(8, 59.0, 0.216, 0.026, 0.0))
Parameters = dict[str, jax.Array]


def predict(parameters: Parameters, user: jax.Array, item: jax.Array) -> jax.Array:
    """μ + b_u + c_i + u·v."""
    dot = (parameters["U"][user] * parameters["V"][item]).sum(1)
    return parameters["mu"] + parameters["b"][user] + parameters["c"][item] + dot


def book_loss(parameters: Parameters, trial: Mapping[str, Any], columns: tuple[jax.Array, ...]) -> jax.Array:
    """Mean squared error, regularisation of both sides, and gravity by the trace identity."""
    user, item, value = columns
    U, V, b, c = (parameters[name] for name in ("U", "V", "b", "c"))
    left = jnp.column_stack([U, b, jnp.ones(len(b))])
    right = jnp.column_stack([V, jnp.ones(len(c)), c + parameters["mu"]])
    return (
        ((value - predict(parameters, user, item)) ** 2).mean()
        + trial["reg"] * ((U**2).sum(1).mean() + (V**2).sum(1).mean())
        + trial["bias_reg"] * ((b**2).mean() + (c**2).mean())
        + trial["gravity"] * ((left.T @ left) * (right.T @ right)).sum() / (len(b) * len(c))
    )


@jax.jit
def book_step(
    parameters: Parameters, trial: Mapping[str, Any], columns: tuple[jax.Array, ...]
) -> tuple[Parameters, jax.Array]:
    """One step of gradient descent; μ has a step of its own, since its curvature is that of all ratings together."""
    loss, gradient = jax.value_and_grad(book_loss)(parameters, trial, columns)
    rate = {name: trial["learning_rate"] if name != "mu" else 0.3 for name in parameters}
    return {name: parameters[name] - rate[name] * gradient[name] for name in parameters}, loss


@jax.jit
def book_rmse(parameters: Parameters, columns: tuple[jax.Array, ...]) -> jax.Array:
    """Root mean squared error."""
    return jnp.sqrt(((columns[2] - predict(parameters, *columns[:2])) ** 2).mean())


def book_fit(trial: BookTrial, train: Ratings, validation: Ratings, steps: int, watch: int, seed: int) -> list[float]:
    """Train one trial on one fold; the validation RMSE after each `watch` steps."""
    keys = jax.random.split(jax.random.key(seed))
    parameters = {
        "U": 0.1 * jax.random.normal(keys[0], (train.n_users, trial.embedding_size)),
        "V": 0.1 * jax.random.normal(keys[1], (train.n_items, trial.embedding_size)),
        "b": jnp.zeros(train.n_users),
        "c": jnp.zeros(train.n_items),
        "mu": jnp.asarray(train.value.mean()),
    }
    weights = {name: jnp.float32(value) for name, value in trial._asdict().items() if name != "embedding_size"}
    known, held_out = (tuple(map(jnp.asarray, (rows.user, rows.item, rows.value))) for rows in (train, validation))
    found = []
    for number in range(1, steps + 1):
        parameters, _ = book_step(parameters, weights, known)
        if number % watch == 0:
            found.append(float(book_rmse(parameters, held_out)))
    return found


def judge(model: Any, train: Ratings, validation: Ratings) -> dict[str, float]:  # noqa: ARG001 - a judge's signature
    """RMSE over the validation rows."""
    left, right = model.user_vectors()[validation.user], model.item_vectors()[validation.item]
    return {"rmse": float(np.sqrt(np.mean((np.einsum("nd,nd->n", left, right) - validation.value) ** 2)))}


def measure_book(ratings: Ratings, splits: list[Any], options: argparse.Namespace) -> dict[str, Any]:
    """Two trials on all folds."""
    begin, rmse = time.perf_counter(), {}
    for trial in BOOK_TRIALS:
        fit = partial(book_fit, trial, steps=options.steps, watch=options.watch, seed=options.seed)
        curves = [fit(ratings.take(split.train), ratings.take(split.test)) for split in splits]
        rmse[str(trial)] = np.mean(curves, axis=0).round(4).tolist()
    seconds = time.perf_counter() - begin
    return {
        "seconds_of_two_trials": round(seconds, 2),
        "seconds_extrapolated": round(seconds * options.trials / len(BOOK_TRIALS), 1),
        "steps": options.steps,
        "mean_rmse_by_steps": rmse,
        "best_mean_rmse": min(min(curve) for curve in rmse.values()),
    }


def measure_ours(ratings: Ratings, splits: list[Any], options: argparse.Namespace) -> dict[str, Any]:
    """The whole sweep."""
    begin = time.perf_counter()
    trials = FusedTrials(ratings, splits, options.seed, "rmse", judge, als.fit)
    sweep = parse_sweep(SWEEP, als.AlsConfig)
    result = run_batches(sweep, trials, options.trials, options.seed, options.trials_at_once)
    seconds = time.perf_counter() - begin
    states = [trial.state for trial in result.trials]
    return {
        "seconds": round(seconds, 2),
        "states": {state: states.count(state) for state in sorted(set(states))},
        "best_mean_rmse": round(result.best.metrics["rmse"], 4),
        "best": {**result.best.metrics, **result.best.params},
    }


def main() -> None:
    """Measure both, in turns where asked for, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=500, help="steps of the book's loop per trial and fold")
    parser.add_argument("--watch", type=int, default=50, help="steps of the book's loop between looks at its RMSE")
    parser.add_argument("--trials-at-once", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=1, help="of our sweep; the least time counts")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    ratings = read_fold(Path(os.environ["RECSYS_TEST_DATA"]) / "ml-100k" / "u.data")
    splits = k_fold(ratings, options.folds, options.seed)
    ours = [measure_ours(ratings, splits, options) for _ in range(options.repeats)]
    book = measure_book(ratings, splits, options)
    best = min(ours, key=lambda one: one["seconds"])
    rows = [("the book's loop", book["seconds_extrapolated"], book["best_mean_rmse"])]
    rows.append(("ours", best["seconds"], best["best_mean_rmse"]))
    for name, seconds, rmse in rows:
        print(f"{name:<18}{seconds:>9.1f} s   best mean RMSE {rmse:.4f}")
    print(f"{'ratio':<18}{book['seconds_extrapolated'] / best['seconds']:>9.0f} x")
    print(json.dumps({"book": book, "ours": ours, "cpu_cores": os.cpu_count(), "options": vars(options)}))


if __name__ == "__main__":
    main()
