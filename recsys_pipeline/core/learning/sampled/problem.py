"""What a training run over sampled pairs is given: factors, facts about the data, penalties per row, chances of items.

The fold-in of new users solves the same problem over their histories, with the items and all facts as they were.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from recsys_pipeline.core.learning.sampled.draws import START, NegativeSampler, UserItems, user_items
from recsys_pipeline.core.learning.sampled.losses import harmonic
from recsys_pipeline.core.learning.sampled.settings import SampledMfConfig
from recsys_pipeline.core.ratings import Ratings

LEAST_SHARE = 0.01
"""The share of the range at which a sigmoid starts, at least: at the very end its gradient vanishes."""


class Table(NamedTuple):
    """One side: factor rows and biases."""

    factors: Float32[np.ndarray, "rows d"]
    bias: Float32[np.ndarray, " rows"]


class Factors(NamedTuple):
    """Both sides."""

    users: Table
    items: Table


class DataFacts(NamedTuple):
    """What fold-in must know of the training data."""

    user_count: Float32[np.ndarray, " users"]
    item_count: Float32[np.ndarray, " items"]
    rows_per_user: float
    """Mean over users that have any."""
    offset: float
    """Added to every score: the mean value, or the log-odds of a positive among as many negatives as are drawn."""
    low: float
    high: float
    """The range of a sigmoid head; 0 and 0 without one."""


class Problem(NamedTuple):
    """Everything that a step needs beside examples and factors."""

    facts: DataFacts
    owned: UserItems
    sampler: NegativeSampler
    user_reg: Float32[np.ndarray, " users"]
    item_reg: Float32[np.ndarray, " items"]
    positive_log_q: Float32[np.ndarray, " items"]
    log_q: Float32[np.ndarray, " items"]
    rank_weight: Float32[np.ndarray, " items"]


def facts_of(train: Ratings, config: SampledMfConfig) -> DataFacts:
    """Counts, the offset of scores, and the range of values."""
    of_users, of_items = (
        np.bincount(ids, minlength=n).astype(np.float32)
        for ids, n in ((train.user, train.n_users), (train.item, train.n_items))
    )
    rows_per_user = len(train) / max(len(np.unique(train.user)), 1)
    low, high = _range(train, config) if config.head == "sigmoid" else (0.0, 0.0)
    return DataFacts(of_users, of_items, rows_per_user, _offset(train, config, low, high), low, high)


def _range(train: Ratings, config: SampledMfConfig) -> tuple[float, float]:
    if not len(train):
        return -config.head_margin, config.head_margin
    return float(train.value.min()) - config.head_margin, float(train.value.max()) + config.head_margin


def _offset(train: Ratings, config: SampledMfConfig, low: float, high: float) -> float:
    if config.loss == "logistic":
        return -float(np.log(config.n_negatives))
    if not config.predicts_values or not len(train):
        return 0.0
    mean = float(train.value.mean())
    if high <= low:
        return mean
    share = np.clip((mean - low) / (high - low), LEAST_SHARE, 1 - LEAST_SHARE)
    return float(np.log(share / (1 - share)))


def problem_of(ratings: Ratings, facts: DataFacts, config: SampledMfConfig) -> Problem:
    """The problem over these rows; `ratings` are the training data, or the histories of new users."""
    owned = user_items(ratings)
    sampler = NegativeSampler.of(facts.item_count, owned, config.negative_power, config.exclude_positives)
    n_train = facts.item_count.sum()
    drawn = config.drawn_per_example * sampler.chance
    corrects = config.loss == "softmax" and config.log_q_correction
    q = np.maximum(facts.item_count, 1) / max(n_train, 1) if config.in_batch else drawn
    log_q = np.log(q).astype(np.float32) if corrects else np.zeros_like(drawn)
    seen = facts.item_count + n_train * drawn
    user_count = np.bincount(ratings.user, minlength=ratings.n_users)
    penalty = 0.0 if config.optimizer == "adamw" else config.reg
    return Problem(
        facts=facts,
        owned=owned,
        sampler=sampler,
        user_reg=_penalties(user_count / facts.rows_per_user if len(ratings) else user_count, penalty, config),
        item_reg=_penalties(seen / max(seen.mean(), 1e-30) if n_train else seen, penalty, config),
        positive_log_q=log_q if config.in_batch else np.zeros_like(log_q),
        log_q=log_q,
        rank_weight=harmonic(ratings.n_items),
    )


def _penalties(frequency: np.ndarray, reg: float, config: SampledMfConfig) -> Float32[np.ndarray, " rows"]:
    """Per occurrence `reg · frequency^(ρ − 1)`, so that a row's penalties together grow with frequency^ρ."""
    known = np.where(frequency > 0, frequency, 1.0)
    return (reg * known ** (config.frequency_power - 1)).astype(np.float32)


def initial_factors(train: Ratings, config: SampledMfConfig, seed: int) -> Factors:
    """Factors from N(0, stdev²), biases 0; rows that no step can touch are 0."""
    generator = np.random.default_rng([seed, START])

    def table(n_rows: int, ids: np.ndarray, draws_all: bool) -> Table:
        factors = generator.normal(0, config.init_stdev, (n_rows, config.embedding_size)).astype(np.float32)
        is_touched = np.full(n_rows, draws_all)
        is_touched[ids] = True
        factors[~is_touched] = 0
        return Table(factors, np.zeros(n_rows, np.float32))

    users = table(train.n_users, train.user, draws_all=False)
    return Factors(users, table(train.n_items, train.item, draws_all=config.drawn_per_example > 0 and len(train) > 0))
