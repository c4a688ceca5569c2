"""Trains factors on sampled pairs: one trainer for five losses, by mini-batches in JAX or by a compiled kernel.

An epoch visits every row once, in a new order and with new negatives. Two ways take the same steps (a test holds them
equal): `BatchSteps` (`sampled/batches.py`: any batch size, any optimiser, any device) and `KernelSteps`
(`sampled/kernels.py`: one example at a time on the CPU, for plain descent and Adagrad).

Of one core, the kernel takes 34 ns per pair that it scores and steps with 64 factors and 75 ns with 192 (100,000
examples of 9 pairs, 6,040 users × 3,706 items, squared loss); to draw a negative that the user does not have, 35 to 60.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float32

from recsys_pipeline.core.errors import ModelError
from recsys_pipeline.core.learning.sampled.draws import ORDER, order_within_users, row_order, stream_key
from recsys_pipeline.core.learning.sampled.problem import (
    DataFacts,
    Factors,
    Problem,
    Table,
    facts_of,
    initial_factors,
    problem_of,
)
from recsys_pipeline.core.learning.sampled.settings import SampledMfConfig
from recsys_pipeline.core.learning.sampled.steps import BatchSteps, KernelSteps, Steps, Visits
from recsys_pipeline.core.ratings import Ratings

CHUNK = 1 << 16
"""Rows whose negatives are drawn, and that are stepped, in one dispatch."""
CHUNK_NUMBERS = 1 << 25
"""Fewer rows where a row needs more than 512 drawn numbers, so that a chunk stays within 128 MB."""

DRAWN_INSTEAD = 64
"""Negatives per row of a fold-in where training took those of the batch."""

OnEpoch = Callable[[int, float], None]
"""Called with the number of the epoch, from 1, and the mean loss of its examples, each before its own step."""


def fit_sampled(
    train: Ratings, config: SampledMfConfig, seed: int, on_epoch: OnEpoch | None = None
) -> tuple[Factors, DataFacts]:
    """Factors, and what fold-in must know of the data.

    Raises `ModelError` after the epoch in which a factor stopped being finite.
    """
    facts = facts_of(train, config)
    problem, start = problem_of(train, facts, config), initial_factors(train, config, seed)
    steps = steps_for(start, problem, config, seed, fix_items=False, wants_loss=on_epoch is not None)

    def visits(epoch: int) -> Visits:
        return Visits(row_order(len(train), seed, epoch), np.arange(len(train)))

    def rates(epoch: int, first: int, n_rows: int) -> Float32[np.ndarray, " steps"]:
        return scheduled_rates(config, epoch, first, n_rows, len(train))

    _run_epochs(steps, train, visits, rates, config.epochs, config, on_epoch)
    return steps.factors(), facts


def fold_in_sampled(items: Table, histories: Ratings, facts: DataFacts, config: SampledMfConfig, seed: int) -> Factors:
    """The users of `histories` by `fold_in_epochs` passes of the same steps with the items fixed, from zero.

    A user's rows are stepped in an order and with draws that depend on no other user (nor does the vector, with batches
    of 1). The learning rate falls by a cosine from pass to pass, so that the vector comes to rest. Items that training
    never saw say nothing. Where negatives came from the batch, `DRAWN_INSTEAD` are drawn from what a batch held: the
    histories of one new user hold none.
    """
    known = histories.take(facts.item_count[histories.item] > 0)
    zero = Table(
        np.zeros((histories.n_users, items.factors.shape[1]), np.float32), np.zeros(histories.n_users, np.float32)
    )
    if config.in_batch:
        config = dataclasses.replace(config, in_batch=False, n_negatives=DRAWN_INSTEAD, negative_power=1.0)
        problem = problem_of(known, facts, config)  # which counts a penalty per pair, where a batch counts one
        problem = problem._replace(user_reg=problem.user_reg / np.float32(1 + DRAWN_INSTEAD))
    else:
        problem = problem_of(known, facts, config)
    steps = steps_for(Factors(zero, items), problem, config, seed, fix_items=True, wants_loss=False)

    def visits(epoch: int) -> Visits:
        return Visits(*order_within_users(known, stream_key(seed, ORDER, epoch)))

    def rates(epoch: int, _: int, n_rows: int) -> Float32[np.ndarray, " steps"]:
        share = (1 + np.cos(np.pi * epoch / config.fold_in_epochs)) / 2
        return np.full(-(-n_rows // config.batch_size), config.learning_rate * share, np.float32)

    _run_epochs(steps, known, visits, rates, config.fold_in_epochs, config, None)
    return steps.factors()


def steps_for(
    start: Factors, problem: Problem, config: SampledMfConfig, seed: int, fix_items: bool, wants_loss: bool
) -> Steps:
    """The faster way where this process runs."""
    if config.suits_kernel and jax.default_backend() == "cpu":
        return KernelSteps(start, problem, config, seed, fix_items, wants_loss)
    return BatchSteps(start, problem, config, seed, fix_items)


def _run_epochs(
    steps: Steps,
    ratings: Ratings,
    visits_of: Callable[[int], Visits],
    rates_of: Callable[[int, int, int], Float32[np.ndarray, " steps"]],
    epochs: int,
    config: SampledMfConfig,
    on_epoch: OnEpoch | None,
) -> None:
    for epoch in range(epochs if len(ratings) else 0):
        visits, total = visits_of(epoch), 0.0
        for first in range(0, len(ratings), rows_at_once(config)):
            part = Visits(*(column[first : first + rows_at_once(config)] for column in visits))
            total += steps.take(ratings, part, epoch, rates_of(epoch, first, len(part.row)))
        factors = steps.factors()
        if not all(np.isfinite(array).all() for table in factors for array in table):
            raise ModelError(
                f"factors did not stay finite in epoch {epoch + 1} with learning_rate {config.learning_rate}: lower it"
            )
        if on_epoch is not None:
            on_epoch(epoch + 1, total / len(ratings))


def rows_at_once(config: SampledMfConfig) -> int:
    """Rows per dispatch: whole batches, and not more draws than memory should hold."""
    per_row = config.batch_size if config.in_batch else config.drawn_per_example + config.n_positives
    per_row += config.history_size if config.user_vector == "mean" else 0
    batches = max(min(CHUNK, CHUNK_NUMBERS // max(per_row, 1)) // config.batch_size, 1)
    return batches * config.batch_size


def scheduled_rates(
    config: SampledMfConfig, epoch: int, first: int, n_rows: int, n_all: int
) -> Float32[np.ndarray, " steps"]:
    """The learning rate of each step of a part of an epoch."""
    size = config.batch_size
    steps, per_epoch = -(-n_rows // size), -(-n_all // size)
    if config.schedule == "constant":
        return np.full(steps, config.learning_rate, np.float32)
    cycle = optax.cosine_onecycle_schedule(config.epochs * per_epoch, config.learning_rate)
    return np.asarray(jax.vmap(cycle)(epoch * per_epoch + first // size + jnp.arange(steps)), np.float32)
