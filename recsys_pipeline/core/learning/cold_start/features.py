"""What is known of an item without any interaction: the embedding of its photo, and its categories."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float32, Float64

from recsys_pipeline.core.errors import ModelError

MAX_CATEGORIES = 256
"""The most common ones; a regression over thousands of rare categories learns each from a handful of items."""


@dataclass(frozen=True)
class ItemFeatures:
    """One row per item. A row of NaN in `visual` is an item without a photo; `visual` may have no column at all."""

    visual: Float32[np.ndarray, "items visual"]
    categories: Bool[np.ndarray, "items categories"]
    names: tuple[str, ...]
    """Of the categories, by column."""

    def __len__(self) -> int:
        return len(self.visual)

    @property
    def has_image(self) -> Bool[np.ndarray, " items"]:
        """Items whose photo was embedded."""
        if not self.visual.shape[1]:
            return np.zeros(len(self.visual), bool)
        return np.asarray(np.isfinite(self.visual).all(axis=1))

    @property
    def has_category(self) -> Bool[np.ndarray, " items"]:
        """Items with at least one of the categories."""
        return np.asarray(self.categories.any(axis=1))

    def take(self, rows: np.ndarray) -> "ItemFeatures":
        """The given rows (indices or a mask)."""
        return dataclasses.replace(self, visual=self.visual[rows], categories=self.categories[rows])


def item_features(
    item_ids: Sequence[str],
    items: pa.Table,
    image_ids: Sequence[str] = (),
    image_vectors: Float32[np.ndarray, "images visual"] | None = None,
    names: tuple[str, ...] | None = None,
) -> ItemFeatures:
    """Features of the items in this order, by the `items` table and the embedded photos that there are.

    Categories are `names`, those of a fitted mapper; the `MAX_CATEGORIES` most common of the table where none are
    given. An item that is in neither has no features.

    >>> lamp = pa.table({"item_id": ["a"], "categories": [["lamp"]]})
    >>> item_features(["a", "b"], lamp).categories.tolist()
    [[True], [False]]
    """
    listed = zip(items["item_id"].to_pylist(), items["categories"].to_pylist(), strict=True)
    own = {item: set(of_item or ()) for item, of_item in listed}
    if names is None:
        counts = Counter(name for of_item in own.values() for name in of_item)
        names = tuple(sorted(sorted(counts, key=lambda name: (-counts[name], name))[:MAX_CATEGORIES]))
    column = {name: at for at, name in enumerate(names)}
    member = np.zeros((len(item_ids), len(names)), bool)
    for row, item in enumerate(item_ids):
        member[row, [column[name] for name in own.get(item, ()) if name in column]] = True
    found = np.empty((0, 0), np.float32) if image_vectors is None else image_vectors
    place = {item: at for at, item in enumerate(image_ids)}
    visual = np.full((len(item_ids), found.shape[1]), np.nan, np.float32)
    rows = [row for row, item in enumerate(item_ids) if item in place]
    if rows:
        visual[rows] = found[[place[item_ids[row]] for row in rows]]
    return ItemFeatures(visual, member, names)


def with_unseen(item_ids: Sequence[str], items: pa.Table) -> list[str]:
    """Ids of the snapshot's items, then, in order, of those that the catalogue lists and nobody has seen."""
    known = set(item_ids)
    return [*item_ids, *sorted({item for item in items["item_id"].to_pylist() if item not in known})]


@dataclass(frozen=True)
class Design:
    """How features become the columns of a regression: fitted on the items that are learned from, and then fixed.

    Visual dimensions are centred and divided by one common scale, so that directions in which photos hardly differ
    stay small and are the first to be shrunk. Categories are indicators; without photos they are all there is.
    """

    visual_mean: Float64[np.ndarray, " visual"]
    visual_scale: float
    names: tuple[str, ...]
    use_categories: bool

    @classmethod
    def of(cls, features: ItemFeatures, use_categories: bool) -> "Design":
        """Fit the scale on the items with a photo."""
        use_categories = use_categories or not features.visual.shape[1]
        seen = features.visual[features.has_image].astype(np.float64)
        if not len(seen):
            return cls(np.zeros(features.visual.shape[1]), 1.0, features.names, use_categories)
        mean = seen.mean(axis=0)
        scale = float(np.sqrt(np.square(seen - mean).sum(axis=1).mean()))
        return cls(mean, scale or 1.0, features.names, use_categories)

    def usable(self, features: ItemFeatures) -> Bool[np.ndarray, " items"]:
        """Items that have every column: a photo where photos are used, else a category."""
        self.check(features)
        if len(self.visual_mean):
            return features.has_image
        return features.has_category

    def columns(self, features: ItemFeatures) -> Float64[np.ndarray, "items columns"]:
        """The regression's inputs; items without a photo get the mean photo's zeros."""
        self.check(features)
        visual = np.nan_to_num((features.visual - self.visual_mean) / self.visual_scale)
        return np.concatenate([visual, features.categories], axis=1) if self.use_categories else visual

    def check(self, features: ItemFeatures) -> None:
        """Raise `ModelError` for features of another kind than those learned from."""
        if features.visual.shape[1] != len(self.visual_mean) or features.names != self.names:
            raise ModelError(
                f"features have {features.visual.shape[1]} visual dimensions and {len(features.names)} categories, the "
                f"mapper learned from {len(self.visual_mean)} and {len(self.names)}: make both from the same artifacts"
            )
