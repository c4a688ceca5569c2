"""The mean vector of each category: the fallback of every mapper, and what it has to beat."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64

from recsys_pipeline.core.errors import ModelError

PRIOR_ITEMS = 1.0
"""A category's mean is drawn to the mean of all as if one more, average item stood there."""


class CategoryMeans(NamedTuple):
    """A point per category, relative to that of all items; an item takes the mean of its categories' points."""

    points: Float64[np.ndarray, "categories space"]
    centre: Float64[np.ndarray, " space"]
    """What an item without a category gets."""

    def predict(self, categories: Bool[np.ndarray, "items categories"]) -> Float64[np.ndarray, "items space"]:
        """Points of the items."""
        return self.centre + shares(categories) @ self.points


def category_means(
    categories: Bool[np.ndarray, "items categories"],
    targets: Float64[np.ndarray, "items space"],
    weights: Float64[np.ndarray, " items"],
) -> CategoryMeans:
    """Weighted means, shrunk by `PRIOR_ITEMS`; a category that no item of weight has gets the centre.

    Raises `ModelError` where no item has a weight.
    """
    weighing = weights[weights > 0]
    if not len(weighing):
        raise ModelError("no item to take a mean of: none has a train interaction")
    centre = weights @ targets / weights.sum()
    parts = shares(categories) * weights[:, None]
    prior = PRIOR_ITEMS * weighing.mean()
    return CategoryMeans(parts.T @ (targets - centre) / (parts.sum(axis=0) + prior)[:, None], centre)


def shares(categories: Bool[np.ndarray, "items categories"]) -> Float64[np.ndarray, "items categories"]:
    """Equal parts of an item's categories; zeros without any."""
    counts = categories.sum(axis=1, keepdims=True)
    return categories / np.maximum(counts, 1)
