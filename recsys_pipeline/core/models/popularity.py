"""Popularity: everyone is offered the items with most interactions."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int32

from recsys_pipeline.core.learning.model_files import check_items, check_users, load_model, save_model
from recsys_pipeline.core.models import ModelSpec
from recsys_pipeline.core.progress import Progress
from recsys_pipeline.core.ratings import Ratings


@dataclass(frozen=True)
class PopularityConfig:
    """No settings."""


class PopularityModel:
    """Scores are training counts, the same for every user."""

    predicts_values = False

    def __init__(self, config: PopularityConfig, count: Float32[np.ndarray, " items"], n_users: int) -> None:
        self.config, self.count, self.n_users = config, count, n_users

    def scores(self, users: Int32[np.ndarray, " batch"]) -> Float32[np.ndarray, "batch items"]:
        """The items' counts, once per user."""
        check_users(users, self.n_users)
        return np.tile(self.count, (len(users), 1))

    def for_users(self, histories: Ratings) -> "PopularityModel":
        """The same counts for as many users as `histories` has."""
        check_items(histories, len(self.count))
        return PopularityModel(self.config, self.count, histories.n_users)

    def save(self, directory: Path) -> None:
        """Write the counts."""
        save_model(directory, "popularity", self.config, {"count": self.count}, n_users=self.n_users)

    @classmethod
    def load(cls, directory: Path) -> "PopularityModel":
        """Read back what `save` wrote."""
        config, arrays, facts = load_model(directory, "popularity", PopularityConfig)
        return cls(config, arrays["count"], **facts)


def fit(train: Ratings, config: PopularityConfig, seed: int, progress: Progress | None = None) -> PopularityModel:  # noqa: ARG001 - the protocol's signature
    """Count the rows of each item, whatever their value."""
    return PopularityModel(config, np.bincount(train.item, minlength=train.n_items).astype(np.float32), train.n_users)


SPEC = ModelSpec("popularity", PopularityConfig, fit, PopularityModel.load)
