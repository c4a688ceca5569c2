"""What goes into a lane, what comes out of it, and which of two ways trains it.

A lane is one fit of a sweep: the objective of a trial, and the ratings of a fold as weights, zero for those that it
must not learn from. Up to eight lanes of one embedding size and seed are trained together. Each takes the steps that
`factorization_als.fit_als` takes alone, in the same order: users from the initial items, then epochs of items, μ,
users. So a lane after e epochs is the fit with `epochs = e`, up to float32 rounding (tested).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol, cast, runtime_checkable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32, Float64, Int64

from recsys_pipeline.core.learning.factorization.objective import (
    Objective,
    Observations,
    initial_factors,
    padded_size,
    recency,
)
from recsys_pipeline.core.ratings import Ratings


class Lane(NamedTuple):
    """One fit: its objective, the weight of each rating (0: held out; 1 on average over the others), and its target."""

    objective: Objective
    weight: Float32[np.ndarray, " ratings"]
    fits_values: bool
    """Whether the values are fitted; otherwise each observed pair counts as 1."""


class LaneState(NamedTuple):
    """What one lane has learned: rows of `[u, b_u]` and `[v, c_i]`, and μ."""

    user: Float32[np.ndarray, "users width"]
    item: Float32[np.ndarray, "items width"]
    global_bias: float

    def vectors(self) -> tuple[Float32[np.ndarray, "users dim"], Float32[np.ndarray, "items dim"]]:
        """`[u, b_u, 1]` and `[v, 1, c_i + μ]`, whose dot product is the score."""
        ones_u, ones_i = np.ones(len(self.user), np.float32), np.ones(len(self.item), np.float32)
        bias = self.item[:, -1] + np.float32(self.global_bias)
        return np.column_stack([self.user, ones_u]), np.column_stack([self.item[:, :-1], ones_i, bias])


@runtime_checkable
class LaneBatch(Protocol):
    """Up to eight fits in progress."""

    def advance(self, epochs: int) -> None:
        """Train every lane for so many epochs more."""
        ...

    def state(self, lane: int) -> LaneState:
        """What one lane has learned so far."""
        ...


@dataclass(frozen=True)
class LaneData:
    """The ratings that all lanes share, sorted once."""

    ratings: Ratings

    @cached_property
    def order(self) -> Int64[np.ndarray, " ratings"]:
        """Row numbers sorted by user; equal users keep their order."""
        return np.argsort(self.ratings.user, kind="stable")

    @cached_property
    def transposed(self) -> "LaneData":
        """The same rows with users and items exchanged."""
        own = self.ratings
        return LaneData(Ratings(own.item, own.user, own.value, own.timestamp_us, own.n_items, own.n_users))


class LaneSizes(NamedTuple):
    """Per lane: summed weights of each user and item, and |Ω|, N and M of the objective (at least 1 each)."""

    user_count: Float32[np.ndarray, "users lanes"]
    item_count: Float32[np.ndarray, "items lanes"]
    ratings: Float64[np.ndarray, " lanes"]
    users: Float64[np.ndarray, " lanes"]
    items: Float64[np.ndarray, " lanes"]

    def transposed(self) -> "LaneSizes":
        """The same sizes with users and items exchanged."""
        return LaneSizes(self.item_count, self.user_count, self.ratings, self.items, self.users)


def lane_weight(
    ratings: Ratings, train: Int64[np.ndarray, " train_rows"], half_life_days: float, inverse_frequency: float = 0.0
) -> Float32[np.ndarray, " ratings"]:
    """The weight of each rating in a lane that learns from the rows `train`, as `models/als.py` weighs them.

    Ages count back from the last event of `train`, and items are counted in it.
    """
    weight = np.zeros(len(ratings), np.float32)
    if not len(train):
        return weight
    instants, item = ratings.timestamp_us[train], ratings.item[train]
    own = recency(instants, int(instants.max()), half_life_days)
    if inverse_frequency:
        count = np.bincount(item, minlength=ratings.n_items)
        relative = np.maximum(count, 1) / count[count > 0].mean()
        own = own * (relative**-inverse_frequency).astype(np.float32)[item]
    weight[train] = own * np.float32(1 / float(own.mean(dtype=np.float64)))
    return weight


def lane_sizes(ratings: Ratings, lanes: Sequence[Lane]) -> LaneSizes:
    """Users, items and ratings of every lane; a weight that lanes share is counted once."""

    def of_each_lane(count: Callable[[np.ndarray], Any]) -> np.ndarray:
        found = {key: count(weight) for key, weight in {id(lane.weight): lane.weight for lane in lanes}.items()}
        return np.stack([found[id(lane.weight)] for lane in lanes], axis=-1)

    counts = [
        of_each_lane(lambda weight, ids=ids, n=n: np.bincount(ids, weight, minlength=n).astype(np.float32))
        for ids, n in ((ratings.user, ratings.n_users), (ratings.item, ratings.n_items))
    ]
    n_ratings = of_each_lane(lambda weight: np.count_nonzero(weight)).astype(np.float64)
    n_users, n_items = ((count > 0).sum(0).astype(np.float64) for count in counts)
    return LaneSizes(counts[0], counts[1], *(np.maximum(total, 1) for total in (n_ratings, n_users, n_items)))


def start_mean(ratings: Ratings, lane: Lane) -> float:
    """The first μ: the mean target where the lane has a global bias."""
    kept = ratings.value[lane.weight > 0]
    mean = 0.0 if not len(kept) else float(kept.mean(dtype=np.float64)) if lane.fits_values else 1.0
    return mean * float(lane.objective.use_global_bias)


def initial_items(n_items: int, embedding_size: int, seed: int) -> Float32[np.ndarray, "items d"]:
    """The item factors that every fit of this size and seed starts from, as if all items had a rating."""
    none, nothing = jnp.zeros(0, jnp.int32), jnp.zeros(0, jnp.float32)
    observed = Observations(none, none, nothing, nothing, jnp.zeros(1), jnp.ones(padded_size(n_items)))
    return np.asarray(initial_factors(observed, embedding_size, 0.0, seed).item)[:n_items, :embedding_size]


def stacked_objective(lanes: Sequence[Lane]) -> Objective:
    """The lanes' objectives as one, with an array per term."""
    terms = zip(*(lane.objective for lane in lanes), strict=True)
    return Objective(*(cast(Any, np.array(term, np.float32)) for term in terms))
