"""Random scores: the floor that every model must beat."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int32

from recsys_pipeline.core.learning.model_files import check_items, check_users, load_model, save_model
from recsys_pipeline.core.models import ModelSpec
from recsys_pipeline.core.progress import Progress
from recsys_pipeline.core.ratings import Ratings


@dataclass(frozen=True)
class RandomConfig:
    """No settings."""


class RandomModel:
    """Uniform scores in [0, 1) that depend on the seed and the user alone, not on the batch a user is scored in."""

    predicts_values = False

    def __init__(self, config: RandomConfig, n_users: int, n_items: int, seed: int) -> None:
        self.config, self.n_users, self.n_items, self.seed = config, n_users, n_items, seed

    def scores(self, users: Int32[np.ndarray, " batch"]) -> Float32[np.ndarray, "batch items"]:
        """One uniform score per item for each user, from a counter-based generator keyed by (seed, user)."""
        check_users(users, self.n_users)
        drawn = np.empty((len(users), self.n_items), np.float32)
        for row, user in enumerate(users):
            key = np.array([self.seed, user], np.uint64)
            np.random.Generator(np.random.Philox(key=key)).random(out=drawn[row], dtype=np.float32)
        return drawn

    def for_users(self, histories: Ratings) -> "RandomModel":
        """The same generator for as many users as `histories` has."""
        check_items(histories, self.n_items)
        return RandomModel(self.config, histories.n_users, self.n_items, self.seed)

    def save(self, directory: Path) -> None:
        """Write the sizes and the seed."""
        save_model(directory, "random", self.config, {}, n_users=self.n_users, n_items=self.n_items, seed=self.seed)

    @classmethod
    def load(cls, directory: Path) -> "RandomModel":
        """Read back what `save` wrote."""
        config, _, facts = load_model(directory, "random", RandomConfig)
        return cls(config, **facts)


def fit(train: Ratings, config: RandomConfig, seed: int, progress: Progress | None = None) -> RandomModel:  # noqa: ARG001 - the protocol's signature
    """Nothing is learned; only the id space is kept."""
    return RandomModel(config, train.n_users, train.n_items, seed)


SPEC = ModelSpec("random", RandomConfig, fit, RandomModel.load)
