"""A fitted rating model: how it scores, and how new users are folded in.

The score is the mean over the kept states of `p·q + b + c`, where `[p, b]` is the user's conditional mean given all
else in that state. That is the Rao-Blackwell estimate (Gelfand and Smith, JASA 1990): less noise for as many states,
and folding a training user in gives the same numbers again. Over states the score is one dot product,
`[p_1 … p_S, mean b, 1]·[q_1/S … q_S/S, 1, mean c]`.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float32, Int32

from recsys_pipeline.core.configs import setting
from recsys_pipeline.core.learning.gibbs.kernels import Prior, Rows, draw_rows
from recsys_pipeline.core.learning.gibbs.posterior import Posterior, mean_effects
from recsys_pipeline.core.learning.gibbs.sampler import ByRow, History, Ids, Terms
from recsys_pipeline.core.learning.gibbs.time import BinSettings
from recsys_pipeline.core.learning.model_files import check_items, check_users, load_model, save_model
from recsys_pipeline.core.learning.user_histories import history_matrix
from recsys_pipeline.core.ratings import Ratings

PAIR_BLOCK = 8192
"""Pairs whose vectors are gathered at once: with 60 states of 10 factors, 2 × 20 MB."""


@dataclass(frozen=True)
class RatingModelConfig:
    """What a rating is made of: the settings that `bayesian_mf` and `svdpp` share, each with a size of its own."""

    embedding_size: int
    user_history: bool = setting(True, "A user's prior depends on which items the user rated, as in SVD++.")
    item_history: bool = setting(True, "An item's prior depends on which users rated it: SVD++ flipped.")
    item_time_bins: int = setting(0, "Equal stretches of time in which an item has a bias of its own; 0: none.", ge=0)
    user_time_bin_days: float = setting(
        0.0, "Length of the stretches of time in which a user has a bias of its own; 0: none.", ge=0.0
    )

    def terms(self) -> Terms:
        """The same in the sampler's words."""
        bins = BinSettings(self.item_time_bins, self.user_time_bin_days)
        return Terms(self.embedding_size, self.user_history, self.item_history, bins)


class RatingModel:
    """What `bayesian_mf` and `svdpp` share: vectors, scores, and values of pairs at their time."""

    predicts_values = True
    name: ClassVar[str]
    config_type: ClassVar[type]

    def __init__(self, config: Any, posterior: Posterior, seed: int = 0) -> None:
        self.config, self.posterior, self.seed = config, posterior, seed

    def user_vectors(self) -> Float32[np.ndarray, "users dim"]:
        """`[p_1 … p_S, mean b, 1]` per user."""
        return self.posterior.user_matrix

    def item_vectors(self) -> Float32[np.ndarray, "items dim"]:
        """`[q_1/S … q_S/S, 1, mean c]` per item."""
        return self.posterior.item_matrix

    def scores(self, users: Int32[np.ndarray, " batch"]) -> Float32[np.ndarray, "batch items"]:
        """The posterior mean of each rating now: items in their last time bin, users in none."""
        check_users(users, len(self.user_vectors()))
        return self.user_vectors()[users] @ self.item_vectors().T

    def values(self, pairs: Ratings) -> Float32[np.ndarray, " n"]:
        """The posterior mean of the rating of each pair at its time; the `value` of `pairs` is not read.

        Raises `ModelError` for unknown users or another item id space.
        """
        check_users(pairs.user, len(self.user_vectors()))
        check_items(pairs, len(self.item_vectors()))
        scores = self._item_time(pairs) + self._user_time(pairs)
        for first in range(0, len(pairs), PAIR_BLOCK):
            block = slice(first, first + PAIR_BLOCK)
            left, right = self.user_vectors()[pairs.user[block]], self.item_vectors()[pairs.item[block]]
            scores[block] += np.einsum("nd,nd->n", left, right)
        return scores

    def _item_time(self, pairs: Ratings) -> Float32[np.ndarray, " n"]:
        """How the item's bin at the time of the rating differs from its last."""
        bins, effects = self.posterior.bins, self.posterior.item_bins
        if not bins.settings.item_bins:
            return np.zeros(len(pairs), np.float32)
        return effects.of(bins.item_keys(pairs)) - effects.of(bins.last_keys(pairs.n_items))[pairs.item]

    def _user_time(self, pairs: Ratings) -> Float32[np.ndarray, " n"]:
        bins, effects = self.posterior.bins, self.posterior.user_bins
        if not bins.settings.user_bin_days:
            return np.zeros(len(pairs), np.float32)
        return effects.of(bins.user_keys(pairs))

    def row_scale(self, count: np.ndarray) -> Float32[np.ndarray, " users"]:
        """What multiplies the prior precision of users with so many ratings."""
        return np.ones(len(count), np.float32)

    def fold_in(self, histories: Ratings) -> Float32[np.ndarray, "users dim"]:
        """Vectors of the users of `histories`: in each state, the conditional mean given the items."""
        return self._fold_in(histories).user_matrix

    def for_users(self, histories: Ratings) -> "RatingModel":
        """The same items and hyperparameters, with the users of `histories` folded in.

        They have no time bins; and items that no training user rated say nothing of them.
        """
        return type(self)(self.config, self._fold_in(histories), self.seed)

    def _fold_in(self, histories: Ratings) -> Posterior:
        known = self.posterior
        check_items(histories, len(self.item_vectors()))
        histories = histories.take(known.item_seen[histories.item])
        by_row = ByRow.of(Ids(histories.user, histories.item), histories.n_users)
        ratings = by_row.ratings(histories.value - self._item_time(histories))
        history = History.of(history_matrix(histories))
        generator = np.random.default_rng([self.seed, 2])
        found: list[Rows] = []
        for at, items in enumerate(known.items):
            means = np.tile(known.user_mean[at], (histories.n_users, 1))
            if known.user_vectors.shape[1]:
                means += history.explained(known.user_vectors[at])
            prior = Prior(means, known.user_precision[at], self.row_scale(by_row.count))
            normals = generator.standard_normal(means.shape, np.float32)
            found.append(draw_rows(ratings, items, prior, float(known.noise_precision[at]), normals))
        return dataclasses.replace(
            known,
            users=np.stack([rows.mean for rows in found]),
            user_draws=np.stack([rows.draw for rows in found])[: len(known.user_draws)],
            user_bins=mean_effects([]),
        )

    def save(self, directory: Path) -> None:
        """Write the kept states."""
        known = self.posterior
        save_model(directory, self.name, self.config, known.as_arrays(), seed=self.seed, **known.facts())

    @classmethod
    def load(cls, directory: Path) -> "RatingModel":
        """Read back what `save` wrote."""
        config, arrays, facts = load_model(directory, cls.name, cls.config_type)
        return cls(config, Posterior.of_arrays(arrays, facts, config.terms().bins), facts["seed"])
