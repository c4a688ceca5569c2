"""What validation says of towers under training: how often a scene's own product outscores others of its category."""

from collections.abc import Mapping
from dataclasses import dataclass

import jax
import numpy as np

from recsys_pipeline.core.folds.negatives import draw_negatives
from recsys_pipeline.core.folds.triplets import LooksTrain
from recsys_pipeline.core.learning.looks.compatibility import score_all
from recsys_pipeline.core.learning.looks.config import StlConfig
from recsys_pipeline.core.learning.looks.embedding import Embedder
from recsys_pipeline.core.learning.looks.networks import network
from recsys_pipeline.core.learning.looks.pixels import Colours
from recsys_pipeline.core.learning.neural.networks import Weights

WATCHED_PAIRS = 256
WATCHED_NEGATIVES = 4
"""Validation pairs that are scored after an epoch, and products that each is compared with."""

ACCURACY = "validation_accuracy"


@dataclass(frozen=True)
class WatchedPairs:
    """The `Metrics` of a training of towers; it tells nothing where no pair is there for validation."""

    train: LooksTrain
    config: StlConfig
    seed: int
    colours: Colours

    def __call__(self, weights: Weights) -> Mapping[str, float]:
        """The accuracy among watched pairs."""
        rows = self.train.validation_rows
        if len(rows) == 0:
            return {}
        rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), WATCHED_PAIRS)).astype(int)]
        scores = self._scores(self._embedder(weights), rows)
        above = scores[:, :1] - scores[:, 1:]
        return {ACCURACY: float(np.mean((above > 0) + 0.5 * (above == 0)))}

    def _scores(self, embedder: Embedder, rows: np.ndarray) -> np.ndarray:
        """Of each row's own product and then of its negatives."""
        data, rng = self.train.data, np.random.default_rng(self.seed)
        negatives = draw_negatives(data, rows, WATCHED_NEGATIVES, rng, held_out=self.train.held_out)
        scenes = embedder.scenes(data.scene_images[data.scene[rows]], data.box[rows])
        compared = np.concatenate([data.product[rows][:, None], negatives], axis=1)
        shown, place = np.unique(compared, return_inverse=True)
        category = data.product_category[shown]
        products = embedder.products(data.product_images[shown], category)
        return np.take_along_axis(score_all(scenes, products, category), place, axis=1)

    def _embedder(self, weights: Weights) -> Embedder:
        data, config = self.train.data, self.config
        architecture = config.architecture(data.scene_images.shape[1], len(data.categories))
        weights = jax.tree.map(np.asarray, weights)
        evaluated = network(architecture, training=False)
        return Embedder(evaluated, weights, self.colours, config.colour, config.min_crop_share)
