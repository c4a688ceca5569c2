"""What a model can do, as small protocols: stages ask for what they need, and take every model that has it.

    Scorer               scores of all items for users of the fit
    Recommender          also for users who are known only by their histories; it can be stored
    HasVectors           a score that orders items as a dot product of two vectors does
    FoldsInUsers         vectors of users who came after the fit
    FoldsInItems         vectors of items that were first taken after the fit
    KnowsWhatItLearned   which users and items the fit had rows of
    HasDeviations        how sure it is of each score
    VectorRecommender    a `Recommender` with vectors that folds in users
    ReleasableRecommender  what a release, its gate and the hours over it ask for: all but deviations

That a model goes on from yesterday's is told by `ModelSpec.continue_fit`: fitting is no method of what was fitted.
"""

from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32, Int32

from recsys_pipeline.core.ratings import Ratings


@runtime_checkable
class Scorer(Protocol):
    """What an evaluation asks of a model."""

    @property
    def predicts_values(self) -> bool:
        """True where scores are on the scale of the training values, so that RMSE means something."""
        ...

    def scores(self, users: Int32[np.ndarray, " batch"]) -> Float32[np.ndarray, "batch items"]:
        """One score per item for each user; higher is better. Unknown ids raise `ModelError`."""
        ...


@runtime_checkable
class Recommender(Scorer, Protocol):
    """A fitted model over users and items."""

    def for_users(self, histories: Ratings) -> "Recommender":
        """The same fitted model over other users, who are known only by their `histories` (whose user ids it takes).

        Items are the model's: histories of another item id space raise `ModelError`. A user without rows gets finite
        scores: those of somebody of whom nothing is known.
        """
        ...

    def save(self, directory: Path) -> None:
        """Write arrays (safetensors or npz) and JSON, never pickles."""
        ...

    @classmethod
    def load(cls, directory: Path) -> "Recommender":
        """Read back what `save` wrote; scores are equal to the bit."""
        ...


@runtime_checkable
class HasVectors(Protocol):
    """A score that orders items as the dot product of two vectors does; biases are folded in as extra dimensions."""

    def user_vectors(self) -> Float32[np.ndarray, "users dim"]: ...

    def item_vectors(self) -> Float32[np.ndarray, "items dim"]: ...


@runtime_checkable
class FoldsInUsers(Protocol):
    """A model that places users who came after the fit, and those who took more since."""

    def fold_in(self, histories: Ratings) -> Float32[np.ndarray, "users dim"]:
        """Vectors for the users of `histories` against the fixed item vectors; a user's depends on no other user."""
        ...


@runtime_checkable
class FoldsInItems(Protocol):
    """A model that places items that were first taken after the fit."""

    def fold_in_items(self, histories: Ratings) -> Float32[np.ndarray, "items dim"]:
        """Vectors for the items of `histories`, which have the model's user ids, against the fixed user vectors.

        Histories with another number of users than the model raise `ModelError`.
        """
        ...


@runtime_checkable
class KnowsWhatItLearned(Protocol):
    """A model that tells rows that were learned from those that only stand in its tables."""

    def learned_users(self) -> Bool[np.ndarray, " users"]: ...

    def learned_items(self) -> Bool[np.ndarray, " items"]: ...


@runtime_checkable
class HasDeviations(Protocol):
    """A model that says how sure it is."""

    def score_deviations(self, users: Int32[np.ndarray, " batch"]) -> Float32[np.ndarray, "batch items"]:
        """One standard deviation of each score."""
        ...


@runtime_checkable
class VectorRecommender(Recommender, HasVectors, FoldsInUsers, Protocol):
    """A fitted model whose users and items are vectors."""


@runtime_checkable
class ReleasableRecommender(VectorRecommender, FoldsInItems, KnowsWhatItLearned, Protocol):
    """All that a release, its gate and the hours over it ask of a model."""

    @property
    def config(self) -> Any:
        """The settings that it was fitted with: days of other settings are not compared by their vectors."""
        ...


RELEASE_NEEDS: dict[type, str] = {
    HasVectors: "vectors of users and items, over which lists are searched",
    FoldsInUsers: "vectors for users who came after the fit",
    FoldsInItems: "vectors for items that were first taken after the fit",
    KnowsWhatItLearned: "which rows of its tables the fit had learned of",
}
"""What a release needs of a model, and what for."""


def lacks_for_release(model: type) -> dict[str, str]:
    """Methods that a class of models would need to be released and does not have, and what each is for."""
    return {
        method: what
        for capability, what in RELEASE_NEEDS.items()
        for method in sorted(name for name in vars(capability) if not name.startswith("_"))
        if not callable(getattr(model, method, None))
    }
