"""Vectors of items that were first taken after the fit, by Newton's method against users as they are.

What the training steps would cost an item, on average over their draws, is a sum over the users who took it and over
those for whom it would have been drawn as a negative:

    Σ_{u took i} ℓ⁺(s_ui − t_u)  +  n_i E_u[ ℓ⁻(s_ui − t_u) ]  +  ½ λ_i (|v|² + b²)

`n_i` is how often the item would have been drawn, and the mean is over `N_SAMPLED` users, drawn once in proportion to
their rows. With loss logistic ℓ is the loss itself and t is 0; the problem is convex and has one answer. The losses
over pairs (bpr, warp, softmax) compare a score with those of other items, which are fixed here: ℓ is logistic, and
`t_u` the mean score of items drawn for the user. Loss squared is a ridge regression to 1 or the value, and to 0; behind
a sigmoid head, to the log-odds of the value's place in the range.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy.special import expit, logit

from recsys_pipeline.core.learning.sampled.draws import stream_key
from recsys_pipeline.core.learning.sampled.problem import LEAST_SHARE, DataFacts, Table
from recsys_pipeline.core.learning.sampled.settings import SampledMfConfig
from recsys_pipeline.core.ratings import Ratings

N_SAMPLED = 512
"""Users that stand for all for whom an item is drawn as a negative, and items that a user's threshold is the mean of:
twice as many moved scores by less than .1 on planted blocks, where scores spread over 6."""
STEPS = 12
"""Newton steps: from zero, the gradient vanishes to float32 in 6 to 9."""
LEAST_RIDGE = 1e-3
"""Of λ_i: without any penalty a lone positive would go to infinity."""
CHUNK_ITEMS = 64
"""Items solved together: their normal equations take CHUNK_ITEMS × (size + 1)² numbers."""
SAMPLE = 5
"""A purpose of draws beside those of `sampled/draws.py`."""


class Rows(NamedTuple):
    """Terms of the sum, row by row: which item, what is multiplied by its factors, what is added, target and weight."""

    item: Int64[np.ndarray, " rows"]
    design: Float64[np.ndarray, "rows d"]
    base: Float64[np.ndarray, " rows"]
    target: Float64[np.ndarray, " rows"]
    weight: Float64[np.ndarray, " rows"]


def new_item_factors(
    users: Table, items: Table, histories: Ratings, facts: DataFacts, config: SampledMfConfig, seed: int
) -> Table:
    """Factors and biases for the items of `histories`; zeros for an item that no user of the fit took.

    `users` and `items` are the fit's. Users whom the fit had no rows of say nothing.
    """
    known = histories.take(facts.user_count[histories.user] > 0)
    found = np.zeros((histories.n_items, users.factors.shape[1] + 1))
    count, ridge = np.bincount(known.item, minlength=histories.n_items), _ridge(known, facts, config)
    base = users.bias + facts.offset - thresholds(users, items, facts, config, seed)
    sampled = sampled_users(facts, seed)
    taken = np.flatnonzero(count)
    for first in range(0, len(taken), CHUNK_ITEMS):
        chosen = taken[first : first + CHUNK_ITEMS]
        rows = _rows(known, chosen, users, base, sampled, facts, config)
        found[chosen] = newton(rows, ridge[chosen], config)
    return Table(found[:, :-1].astype(np.float32), found[:, -1].astype(np.float32))


def sampled_users(facts: DataFacts, seed: int) -> Int64[np.ndarray, " sampled"]:
    """Users in proportion to their rows, ascending, with repetitions."""
    chance = facts.user_count.astype(np.float64)
    generator = np.random.default_rng(stream_key(seed, SAMPLE, 0))
    return np.sort(generator.choice(len(chance), N_SAMPLED, p=chance / chance.sum())) if chance.sum() else np.arange(0)


def thresholds(
    users: Table, items: Table, facts: DataFacts, config: SampledMfConfig, seed: int
) -> Float64[np.ndarray, " users"]:
    """With a loss over pairs, the mean score of items drawn as training drew its negatives; 0 with the others."""
    if config.loss not in ("bpr", "warp", "softmax"):
        return np.zeros(len(users.bias))
    power = 1.0 if config.in_batch else config.negative_power
    weight = np.maximum(facts.item_count, 1).astype(np.float64) ** power
    drawn = np.random.default_rng(stream_key(seed, SAMPLE, 1)).choice(len(weight), N_SAMPLED, p=weight / weight.sum())
    mean, bias = items.factors[drawn].mean(axis=0), items.bias[drawn].mean()
    return (users.factors @ mean + users.bias + bias + facts.offset).astype(np.float64)


def times_drawn(count: np.ndarray, facts: DataFacts, config: SampledMfConfig) -> Float64[np.ndarray, " items"]:
    """How often training would have drawn items with so many rows as negatives."""
    n_train = float(facts.item_count.sum())
    if config.in_batch:  # each row of a batch has the others for negatives, whose losses are shares of one
        return count.astype(np.float64)
    weight = np.maximum(count, 1).astype(np.float64) ** config.negative_power
    total = (np.maximum(facts.item_count, 1).astype(np.float64) ** config.negative_power).sum()
    per_row = 1 if config.loss in ("softmax", "warp") else config.n_negatives
    return n_train * per_row * weight / max(total, 1e-30)


def _ridge(known: Ratings, facts: DataFacts, config: SampledMfConfig) -> Float64[np.ndarray, " items"]:
    """λ_i: that of each occurrence, as in training, times the occurrences."""
    count = np.bincount(known.item, minlength=known.n_items)
    seen, of_fit = (one + times_drawn(one, facts, config) for one in (count, facts.item_count))
    frequency = np.maximum(seen / max(float(of_fit.mean()), 1e-30), 1e-30)
    penalty = 0.0 if config.optimizer == "adamw" else config.reg
    return np.maximum(penalty * frequency ** (config.frequency_power - 1) * seen, LEAST_RIDGE)


def _rows(
    known: Ratings, chosen: Int64[np.ndarray, " chosen"], users: Table, base: np.ndarray,
    sampled: Int64[np.ndarray, " sampled"], facts: DataFacts, config: SampledMfConfig,
) -> Rows:  # fmt: skip
    """Positives of the chosen items, which are numbered by their place, and then their negatives."""
    place = np.full(known.n_items, -1)
    place[chosen] = np.arange(len(chosen))
    own = known.take(place[known.item] >= 0)
    number = place[own.item]
    item = np.concatenate([number, np.repeat(np.arange(len(chosen)), len(sampled))])
    user = np.concatenate([own.user, np.tile(sampled, len(chosen))])
    drawn = times_drawn(np.bincount(number, minlength=len(chosen)), facts, config)
    negative = np.repeat(drawn / max(len(sampled), 1), len(sampled))
    if config.exclude_positives:
        negative[_pairs(item, user, len(number)).reshape(-1)] = 0
    if config.predicts_values:
        negative[:] = 0
    design = np.column_stack([users.factors[user], np.full(len(user), float(config.use_biases))]).astype(np.float64)
    target = np.concatenate([_targets(own, facts, config), np.zeros(len(negative))])
    weight = np.concatenate([np.ones(len(number)), negative])
    return Rows(item, design, base[user].astype(np.float64), target, weight)


def _pairs(item: np.ndarray, user: np.ndarray, n_positives: int) -> Bool[np.ndarray, " negatives"]:
    """Which (item, user) pairs after the first are among the first."""
    key = item.astype(np.int64) << 32 | user
    return np.isin(key[n_positives:], key[:n_positives])


def _targets(own: Ratings, facts: DataFacts, config: SampledMfConfig) -> Float64[np.ndarray, " rows"]:
    if config.target == "one":
        return np.ones(len(own))
    value = own.value.astype(np.float64)
    if config.head == "linear":
        return value
    return logit(np.clip((value - facts.low) / (facts.high - facts.low), LEAST_SHARE, 1 - LEAST_SHARE))


def newton(rows: Rows, ridge: Float64[np.ndarray, " items"], config: SampledMfConfig) -> Float64[np.ndarray, "items d"]:
    """The factors at which each item's sum is least; the items' own systems are solved in one call."""
    n, size = len(ridge), rows.design.shape[1]
    order = np.argsort(rows.item, kind="stable")
    item, design, base, target, weight = (column[order] for column in rows)
    starts = np.searchsorted(item, np.arange(n))
    found, penalty = np.zeros((n, size)), ridge[:, None, None] * np.eye(size)
    for _ in range(1 if config.loss == "squared" else STEPS):
        score = np.einsum("rd,rd->r", design, found[item]) + base
        guess = score if config.loss == "squared" else expit(score)
        slope = weight * (guess - target)
        bend = weight if config.loss == "squared" else weight * guess * (1 - guess)
        gradient = np.add.reduceat(slope[:, None] * design, starts) + ridge[:, None] * found
        ends = [*starts[1:], len(item)]
        normal = np.stack([
            (design[a:b] * bend[a:b, None]).T @ design[a:b] for a, b in zip(starts, ends, strict=True)
        ])  # fmt: skip
        found -= np.linalg.solve(normal + penalty, gradient[..., None])[..., 0]
    return found
