"""Trained towers: what is kept of a training, and how a later training goes on from it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from recsys_pipeline.core.errors import ModelError
from recsys_pipeline.core.learning.looks.config import StlConfig
from recsys_pipeline.core.learning.looks.embedding import Embedder
from recsys_pipeline.core.learning.looks.networks import network
from recsys_pipeline.core.learning.looks.pixels import Colours
from recsys_pipeline.core.learning.neural.networks import Weights

CATEGORY_TABLES = (("gates", "weight"), ("attention", "category"))
"""Parameters with one row per category, in the order of the data's categories."""


@dataclass(frozen=True)
class TrainedTowers:
    """What training yields: weights, running statistics, and what must be known of the data to use them.

    `colours` are those by which pixels are scaled; rows of what depends on categories are in the order of `categories`;
    `epochs` were trained in all, those of the towers that training went on from included.
    """

    params: Any
    batch_stats: Any
    colours: Colours
    image_size: int
    categories: tuple[str, ...]
    epochs: int = 0

    def embedder(self, config: StlConfig) -> Embedder:
        """The towers in evaluation mode."""
        architecture = config.architecture(self.image_size, len(self.categories))
        evaluated, weights = network(architecture, training=False), Weights(self.params, self.batch_stats)
        return Embedder(evaluated, weights, self.colours, config.colour, config.min_crop_share)


def draws_seed(seed: int, start: TrainedTowers) -> int:
    """The seed by which a training that goes on draws batches and variations: another than those before it had."""
    return int(np.random.SeedSequence([seed, start.epochs]).generate_state(1)[0] >> 1)


def carried_over(
    start: TrainedTowers, params: Any, batch_stats: Any, categories: Sequence[str], image_size: int
) -> tuple[Any, Any]:
    """The earlier weights and statistics, with the rows of categories where their names are now.

    A category that the earlier towers did not know has its row of `params`, those of a fresh network.

    Raises:
        ModelError: The networks differ, or saw images of another size.
    """
    if start.image_size != image_size:
        raise ModelError(
            f"the towers to start from saw images of {start.image_size} pixels, not {image_size}: fit anew"
        )
    row_of = {name: row for row, name in enumerate(start.categories)}
    known = [row for row, name in enumerate(categories) if name in row_of]
    before = [row_of[categories[row]] for row in known]
    carried = dict(start.params)
    for part, name in CATEGORY_TABLES:
        if part in carried and part in params:
            table = np.array(params[part][name])
            table[known] = carried[part][name][before]
            carried[part] = {**carried[part], name: table}
    fresh, kept = (_shapes(tree) for tree in ((params, batch_stats), (carried, start.batch_stats)))
    if fresh != kept:
        raise ModelError("the towers to start from are other networks than these settings ask for: fit anew")
    return carried, start.batch_stats


def _shapes(tree: Any) -> dict[str, tuple[int, ...]]:
    return {jax.tree_util.keystr(path): np.shape(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}
