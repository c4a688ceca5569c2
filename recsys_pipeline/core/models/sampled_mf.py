"""Matrix factorisation learned from sampled pairs: logistic, BPR, WARP, softmax or squared loss, by small steps.

Where alternating least squares weighs all unobserved pairs at once, this draws a few for each observed one, so the loss
need not be a square and can look at the top of the list. The losses are in `core/learning/sampled/losses.py`, the
trainer in `core/learning/sampled/trainer.py`.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Int32
from scipy.special import expit

from recsys_pipeline.core.errors import ArtifactError, ModelError
from recsys_pipeline.core.learning.model_files import check_items, check_users, load_model, save_model
from recsys_pipeline.core.learning.sampled.new_items import new_item_factors
from recsys_pipeline.core.learning.sampled.problem import DataFacts, Factors, Table
from recsys_pipeline.core.learning.sampled.settings import SampledMfConfig
from recsys_pipeline.core.learning.sampled.trainer import fit_sampled, fold_in_sampled
from recsys_pipeline.core.learning.user_histories import history_matrix
from recsys_pipeline.core.models import ModelSpec
from recsys_pipeline.core.progress import Progress
from recsys_pipeline.core.ratings import Ratings

COUNTS = ("user_count", "item_count")
"""Facts of the training data that are arrays."""


class SampledMfModel:
    """User and item vectors `[u, b_u, 1]` and `[v, 1, b_i + offset]`, whose dot product is the score.

    With a sigmoid head the score is that of the dot product, which orders items alike.
    """

    def __init__(
        self,
        config: SampledMfConfig,
        user_vectors: Float32[np.ndarray, "users dim"],
        item_vectors: Float32[np.ndarray, "items dim"],
        facts: DataFacts,
        seed: int,
    ) -> None:
        self.config, self.facts, self.seed = config, facts, seed
        self._user_vectors, self._item_vectors = user_vectors, item_vectors

    @property
    def predicts_values(self) -> bool:
        """True where observed values were fitted, and no negatives."""
        return self.config.predicts_values

    def user_vectors(self) -> Float32[np.ndarray, "users dim"]:
        """`[u, b_u, 1]` per user."""
        return self._user_vectors

    def item_vectors(self) -> Float32[np.ndarray, "items dim"]:
        """`[v, 1, b_i + offset]` per item."""
        return self._item_vectors

    def scores(self, users: Int32[np.ndarray, " batch"]) -> Float32[np.ndarray, "batch items"]:
        """The dot products of the users' vectors with all items', through the head."""
        check_users(users, len(self._user_vectors))
        scores = self._user_vectors[users] @ self._item_vectors.T
        if self.config.head == "linear":
            return scores
        low, high = np.float32(self.facts.low), np.float32(self.facts.high)
        return low + (high - low) * expit(scores)

    def fold_in(self, histories: Ratings) -> Float32[np.ndarray, "users dim"]:
        """The users' vectors by `fold_in_epochs` passes of the training steps over their histories, items fixed.

        With `user_vector` mean, the mean of the items' vectors: nothing is learned. A user without an item that
        training saw gets `[0, 0, 1]`, and so scores by item bias alone.
        """
        check_items(histories, len(self._item_vectors))
        items = self._items()
        if self.config.user_vector == "mean":
            known = histories.take(self.facts.item_count[histories.item] > 0)
            return _extended(Table(_means(known, items.factors), np.zeros(histories.n_users, np.float32)))
        return _extended(fold_in_sampled(items, histories, self.facts, self.config, self.seed).users)

    def fold_in_items(self, histories: Ratings) -> Float32[np.ndarray, "items dim"]:
        """The vectors `[v, 1, b_i + offset]` of new items from the users who took them, users fixed.

        `histories` has the model's user ids and the new items' own. An item with no known user gets `[0, 1, offset]`.

        Raises:
            ModelError: `histories` has another number of users than the model.
        """
        if histories.n_users != len(self._user_vectors):
            raise ModelError(
                f"histories have {histories.n_users} users, the model {len(self._user_vectors)}: use its user id map"
            )
        users = Table(self._user_vectors[:, :-2], self._user_vectors[:, -2])
        return _extended_items(
            new_item_factors(users, self._items(), histories, self.facts, self.config, self.seed), self.facts
        )

    def _items(self) -> Table:
        return Table(self._item_vectors[:, :-2], self._item_vectors[:, -1] - np.float32(self.facts.offset))

    def learned_users(self) -> Bool[np.ndarray, " users"]:
        """Users whom the fit had rows of."""
        return self.facts.user_count > 0

    def learned_items(self) -> Bool[np.ndarray, " items"]:
        """Items that the fit had rows of; others may have been drawn as negatives."""
        return self.facts.item_count > 0

    def for_users(self, histories: Ratings) -> "SampledMfModel":
        """The same items, with the users of `histories` folded in."""
        count = np.bincount(histories.user, minlength=histories.n_users).astype(np.float32)
        facts = self.facts._replace(user_count=count)
        return SampledMfModel(self.config, self.fold_in(histories), self._item_vectors, facts, self.seed)

    def save(self, directory: Path) -> None:
        """Write the vectors, and what fold-in needs of the training data."""
        facts = self.facts._asdict()
        arrays = {"user_vectors": self._user_vectors, "item_vectors": self._item_vectors}
        arrays |= {name: facts.pop(name) for name in COUNTS}
        save_model(directory, "sampled_mf", self.config, arrays, seed=self.seed, **facts)

    @classmethod
    def load(cls, directory: Path) -> "SampledMfModel":
        """Read back what `save` wrote."""
        config, arrays, facts = load_model(directory, "sampled_mf", SampledMfConfig)
        try:
            seed, counts = facts.pop("seed"), {name: arrays.pop(name) for name in COUNTS}
            return cls(config, **arrays, facts=DataFacts(**counts, **facts), seed=seed)
        except (KeyError, TypeError) as error:
            raise ArtifactError(
                f"{directory} holds a sampled_mf model of another version ({error}): fit it again"
            ) from error


def _extended(users: Table) -> Float32[np.ndarray, "users dim"]:
    return np.column_stack([users.factors, users.bias, np.ones_like(users.bias)])


def _extended_items(items: Table, facts: DataFacts) -> Float32[np.ndarray, "items dim"]:
    return np.column_stack([items.factors, np.ones_like(items.bias), items.bias + np.float32(facts.offset)])


def _means(histories: Ratings, factors: Float32[np.ndarray, "items d"]) -> Float32[np.ndarray, "users d"]:
    """The mean vector of each user's items; zero for a user without any."""
    taken = history_matrix(histories)
    count = np.maximum(np.diff(taken.indptr), 1).astype(np.float32)
    return np.asarray(taken @ factors, np.float32) / count[:, None]


def fit(train: Ratings, config: SampledMfConfig, seed: int, progress: Progress | None = None) -> SampledMfModel:
    """Take the steps; `progress` hears the mean loss of each epoch's examples, each before its own step.

    Raises:
        ModelError: The learning rate is too high for the factors to stay finite.
    """

    def report(number: int, loss: float) -> None:
        if progress is not None:
            progress(f"epoch {number}/{config.epochs}", {"loss": loss})

    factors, facts = fit_sampled(train, config, seed, report if progress is not None else None)
    users, items = _users(train, factors, config), factors.items
    return SampledMfModel(config, _extended(users), _extended_items(items, facts), facts, seed)


def _users(train: Ratings, factors: Factors, config: SampledMfConfig) -> Table:
    if config.user_vector == "own":
        return factors.users
    return Table(_means(train, factors.items.factors), np.zeros(train.n_users, np.float32))


SPEC = ModelSpec("sampled_mf", SampledMfConfig, fit, SampledMfModel.load, daily=False, sweep_file="sampled_mf_ndcg")
