"""What a chain leaves: its kept states, stacked, in the unit of the ratings."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32

from recsys_pipeline.core.learning.gibbs.conditionals import GibbsDraws
from recsys_pipeline.core.learning.gibbs.sampler import (
    ByRow,
    Ids,
    Sampler,
    Schedule,
    State,
    Terms,
    in_rating_units,
    run_chain,
)
from recsys_pipeline.core.learning.gibbs.time import BinEffects, BinSettings, TimeBins
from recsys_pipeline.core.progress import Progress
from recsys_pipeline.core.ratings import Ratings


@dataclass(frozen=True)
class Posterior:
    """The kept states, in the unit of the ratings."""

    users: Float32[np.ndarray, "samples users k"]
    """Conditional means `[p, b]`."""
    user_draws: Float32[np.ndarray, "draws users k"]
    """Draws around them; none where the states are no sample."""
    items: Float32[np.ndarray, "samples items k"]
    """`[q, c + μ]`, with the item's last time bin in the bias: the present."""
    item_seen: Bool[np.ndarray, " items"]
    item_precision: Float32[np.ndarray, "samples k"]
    user_mean: Float32[np.ndarray, "samples k"]
    user_precision: Float32[np.ndarray, "samples k"]
    user_vectors: Float32[np.ndarray, "samples items_or_none k"]
    """History vectors `y`."""
    noise_precision: Float32[np.ndarray, " samples"]
    bins: TimeBins
    item_bins: BinEffects
    user_bins: BinEffects
    mean_count: float
    """Ratings per training user that has any."""

    ARRAYS = ("users", "user_draws", "items", "item_seen", "item_precision", "user_mean", "user_precision",
              "user_vectors", "noise_precision")  # fmt: skip

    @cached_property
    def user_matrix(self) -> Float32[np.ndarray, "users dim"]:
        """`[p_1 … p_S, mean b, 1]` per user."""
        return _side_by_side(self.users, 1, own=0)

    @cached_property
    def item_matrix(self) -> Float32[np.ndarray, "items dim"]:
        """`[q_1/S … q_S/S, 1, mean c]` per item."""
        return _side_by_side(self.items, len(self.items), own=1)

    def as_arrays(self) -> dict[str, np.ndarray]:
        """Everything that is an array, by name."""
        effects = {"item_bins": self.item_bins, "user_bins": self.user_bins}
        parts = {f"{name}_{part}": getattr(bins, part) for name, bins in effects.items() for part in ("keys", "values")}
        return {**{name: getattr(self, name) for name in self.ARRAYS}, **parts}

    def facts(self) -> dict[str, float | int]:
        """Everything else."""
        return {"start_us": self.bins.start_us, "end_us": self.bins.end_us, "mean_count": self.mean_count}

    @classmethod
    def of_arrays(cls, arrays: dict[str, np.ndarray], facts: dict[str, Any], settings: BinSettings) -> "Posterior":
        """What `as_arrays` and `facts` gave."""
        bins = TimeBins(settings, facts["start_us"], facts["end_us"])
        item_bins, user_bins = (
            BinEffects(arrays[f"{name}_keys"], arrays[f"{name}_values"]) for name in ("item_bins", "user_bins")
        )
        named = {name: arrays[name] for name in cls.ARRAYS}
        return cls(**named, bins=bins, item_bins=item_bins, user_bins=user_bins, mean_count=facts["mean_count"])


def _side_by_side(stack: np.ndarray, divisor: int, own: int) -> np.ndarray:
    samples, rows, k = stack.shape
    factors = stack[:, :, :-1].transpose(1, 0, 2).reshape(rows, samples * (k - 1)) / np.float32(divisor)
    biases = np.ones((rows, 2), np.float32)
    biases[:, own] = stack[:, :, -1].mean(axis=0, dtype=np.float64)
    return np.ascontiguousarray(np.concatenate([factors, biases], axis=1))


def collect(states: Sequence[State], train: Ratings, settings: BinSettings, with_draws: bool) -> Posterior:
    """Stack the states of a chain over `train`."""
    bins, by_user = TimeBins.over(train, settings), ByRow.of(Ids(train.user, train.item), train.n_users)
    # The state lists the kinds in the order of `TimeBins.keys`.
    kinds = [name for name, used in (("item", settings.item_bins), ("user", settings.user_bin_days)) if used]
    by_kind = {kind: [state.bins[at] for state in states] for at, kind in enumerate(kinds)}
    items = np.stack([state.items for state in states])
    for at, effects in enumerate(by_kind.get("item", [])):
        items[at, :, -1] += effects.of(bins.last_keys(train.n_items))
    users = np.stack([state.users.mean for state in states])
    return Posterior(
        users=users,
        user_draws=np.stack([state.users.draw for state in states]) if with_draws else users[:0],
        items=items,
        item_seen=np.bincount(train.item, minlength=train.n_items) > 0,
        item_precision=np.stack([state.item_prior.precision for state in states]),
        user_mean=np.stack([state.user_prior.mean for state in states]),
        user_precision=np.stack([state.user_prior.precision for state in states]),
        user_vectors=np.stack([state.user_vectors for state in states]),
        noise_precision=np.array([state.noise_precision for state in states], np.float32),
        bins=bins,
        item_bins=mean_effects(by_kind.get("item", [])),
        user_bins=mean_effects(by_kind.get("user", [])),
        mean_count=by_user.mean_count,
    )


def mean_effects(states: Sequence[BinEffects]) -> BinEffects:
    if not states:
        return BinEffects(np.empty(0, np.int64), np.empty(0, np.float32))
    return BinEffects(states[0].keys, np.asarray(np.mean([effects.values for effects in states], axis=0), np.float32))


def sample_posterior(
    train: Ratings, terms: Terms, schedule: Schedule, seed: int, progress: Progress | None = None
) -> Posterior:
    """Run a Gibbs chain and keep its states; `progress` hears the training RMSE of each sweep's draw.

    Raises:
        ModelError: a normal matrix is singular in float32, or a state is not finite.
    """
    mean, unit = centre(train)
    generator = np.random.default_rng([seed, 1])
    values = (train.value - np.float32(mean)) / np.float32(unit)
    chain = Sampler(train, values, terms, GibbsDraws(generator), generator)
    kept = []
    for number, (state, is_kept) in enumerate(run_chain(chain, schedule), 1):
        if progress is not None:
            progress(f"sweep {number}/{schedule.n_sweeps}", {"rmse": state.rmse * unit})
        if is_kept:
            kept.append(in_rating_units(state, mean, unit))
    return collect(kept, train, terms.bins, with_draws=True)


def centre(train: Ratings) -> tuple[float, float]:
    """The mean of the values, and their standard deviation; 1 where they are constant."""
    if not len(train):
        return 0.0, 1.0
    deviation = float(train.value.std(dtype=np.float64))
    return float(train.value.mean(dtype=np.float64)), deviation if deviation > 1e-6 else 1.0
