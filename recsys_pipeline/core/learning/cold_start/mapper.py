"""Mappers from item features to item vectors: one protocol, a fallback for items without a photo, saved like models."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Float64

from recsys_pipeline.core.errors import ArtifactError
from recsys_pipeline.core.learning.cold_start.config import ColdStartConfig
from recsys_pipeline.core.learning.cold_start.features import Design, ItemFeatures
from recsys_pipeline.core.learning.cold_start.means import CategoryMeans
from recsys_pipeline.core.learning.cold_start.network import Hidden
from recsys_pipeline.core.learning.cold_start.ridge import Linear
from recsys_pipeline.core.learning.cold_start.score_space import ScoreSpace
from recsys_pipeline.core.learning.model_files import load_model, save_model

REGRESSIONS: dict[str, type[Linear] | type[Hidden]] = {"ridge": Linear, "network": Hidden}
"""By the name of the mapper that uses it; the means need none."""


@runtime_checkable
class ItemMapper(Protocol):
    """Gives items that nobody has interacted with a vector in the space of a factorisation's items."""

    def vectors(self, features: ItemFeatures) -> Float32[np.ndarray, "items dim"]:
        """One finite vector per item, whatever is missing of it; its dot product with a user's vector is the score.

        Raises `ModelError` for features of another kind than those learned from.
        """
        ...


@dataclass(frozen=True)
class FittedMapper:
    """A mapper: a regression where an item has its inputs, its categories' mean where not, the mean of all at last."""

    name: str
    config: ColdStartConfig
    design: Design
    space: ScoreSpace
    means: CategoryMeans
    regression: Linear | Hidden | None = None
    """None: category means alone."""

    def vectors(self, features: ItemFeatures) -> Float32[np.ndarray, "items dim"]:
        """See `ItemMapper`."""
        return self.space.decode(self.points(features))

    def points(self, features: ItemFeatures) -> Float64[np.ndarray, "items space"]:
        """Where the items are put in the score space."""
        self.design.check(features)
        found = self.means.predict(features.categories)
        rows = np.flatnonzero(self.design.usable(features))
        if self.regression is not None and len(rows):
            found[rows] = self.regression.predict(self.design.columns(features.take(rows)))
        return found

    def save(self, directory: Path) -> None:
        """Write arrays and settings."""
        arrays = {f"space/{name}": value for name, value in vars(self.space).items()}
        arrays |= {"visual_mean": self.design.visual_mean}
        arrays |= {f"means/{name}": value for name, value in self.means._asdict().items()}
        if self.regression is not None:
            arrays |= {f"regression/{name}": value for name, value in self.regression._asdict().items()}
        facts = {"visual_scale": self.design.visual_scale, "categories": list(self.design.names)}
        facts["use_categories"] = self.design.use_categories
        save_model(directory, self.name, self.config, arrays, **facts)

    @classmethod
    def load(cls, directory: Path, name: str) -> "FittedMapper":
        """Read back what `save` wrote; vectors are equal to the bit. Raises `ArtifactError` for another mapper."""
        config, arrays, facts = load_model(directory, name, ColdStartConfig)
        try:
            names = tuple(facts["categories"])
            design = Design(arrays["visual_mean"], facts["visual_scale"], names, facts["use_categories"])
            space = ScoreSpace(**_part(arrays, "space/"))
            kind = REGRESSIONS.get(name)
            regression = kind(**_part(arrays, "regression/")) if kind else None
            return cls(name, config, design, space, CategoryMeans(**_part(arrays, "means/")), regression)
        except (KeyError, TypeError) as error:
            raise ArtifactError(f"{directory} holds a {name} mapper of another version ({error}): fit again") from error


def _part(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}
