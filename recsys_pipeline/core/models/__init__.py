"""What a model file exports, and how the files are found: one file adds a model, nothing central changes."""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Int32

from recsys_pipeline.core.errors import SettingError
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
class VectorRecommender(Recommender, Protocol):
    """A fitted model whose score is a dot product; biases are folded in as extra dimensions."""

    def user_vectors(self) -> Float32[np.ndarray, "users dim"]: ...

    def item_vectors(self) -> Float32[np.ndarray, "items dim"]: ...

    def fold_in(self, histories: Ratings) -> Float32[np.ndarray, "users dim"]:
        """Vectors for the users of `histories` against the fixed item vectors."""
        ...


@dataclass(frozen=True)
class ModelSpec:
    """One registered model: its name, its frozen config dataclass, its fit function and its class."""

    name: str
    config: type
    fit: Callable[..., Any]
    """`fit(train: Ratings, config, seed: int, progress: Progress | None = None) -> Recommender`
    (for `data="looks"`: `train` is the looks training set)."""
    load: Callable[[Path], Any]
    data: str = "interactions"
    """What it learns from: "interactions" or "looks"."""
    daily: bool = True
    """Whether `batch_daily` fits it; the others are fitted where they are asked for (by name in the UI, or by
    `recsys evaluate`), because their cost grows faster than the data."""
    continue_fit: Callable[..., Any] | None = None
    """`continue_fit(earlier, train, config, seed, progress) -> model` goes on from an earlier model of the same config
    instead of fitting anew, on all of `train`. Dense ids of interactions never change their number, so that row i of
    the earlier model is row i of `train`, and further rows are new. None: always fitted in full, as what only counts
    is, because that is cheap."""
    swept_weekly: bool = False
    """Whether `sweep_weekly` tunes it; the others are tuned where somebody asks for it."""


def discover() -> dict[str, ModelSpec]:
    """Every `SPEC` exported by a module of this package, by name."""
    package = importlib.import_module(__name__)
    specs: dict[str, ModelSpec] = {}
    for module_info in sorted(pkgutil.iter_modules(package.__path__), key=lambda found: found.name):
        spec = getattr(importlib.import_module(f"{package.__name__}.{module_info.name}"), "SPEC", None)
        if spec is None:
            continue
        if spec.name in specs:
            raise SettingError(f"two model files register the name {spec.name!r}")
        specs[spec.name] = spec
    return specs
