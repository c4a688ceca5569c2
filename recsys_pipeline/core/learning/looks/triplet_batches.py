"""The batches of the towers: triplets of each step, their pixels, and what each product is to each scene."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int32, UInt8

from recsys_pipeline.core.folds.triplets import LooksTrain, Triplets, draw_train_negatives, draw_triplets
from recsys_pipeline.core.learning.looks.config import StlConfig
from recsys_pipeline.core.learning.looks.objectives import DRAWN
from recsys_pipeline.core.learning.neural.epochs import Columns, Epochs


class Batch(NamedTuple):
    """Pixels of one step, and what each product is to each scene.

    Products are the positive of each scene, in the order of the scenes, and then, where negatives are drawn, those
    of the first scene, those of the second, … One that is neither positive nor negative of a scene is not compared.
    """

    scene: UInt8[np.ndarray, "batch size size 3"]
    box: Float32[np.ndarray, "batch 4"]
    product: UInt8[np.ndarray, "candidates size size 3"]
    category: Int32[np.ndarray, " candidates"]
    positive: Bool[np.ndarray, "batch candidates"]
    negative: Bool[np.ndarray, "batch candidates"]


class Draw(NamedTuple):
    """The triplets of one epoch or step, and all negatives that were drawn for each (the triplets' own first)."""

    triplets: Triplets
    negatives: Int32[np.ndarray, "n n_negatives"]


class TripletStream:
    """The triplets of each step; an epoch shows every pair once."""

    def __init__(self, train: LooksTrain, config: StlConfig, seed: int) -> None:
        self._train, self._config, self._seed = train, config, seed
        self._epochs = Epochs(len(train.rows), batch_size_of(train, config), self._draw)
        self.batch_size = self._epochs.batch_size

    def step(self, step: int) -> Draw:
        """The triplets of one step, whatever was asked for before."""
        *triplets, negatives = self._epochs.step(step)
        return Draw(Triplets(*triplets), negatives)

    def _draw(self, epoch: int) -> Columns:
        config = self._config
        triplets = draw_triplets(self._train, self._seed, epoch, config.negatives)
        # Beside the epoch's own stream, so that the pairs and their first negatives do not depend on n_negatives.
        rng = np.random.default_rng([self._seed, epoch, 1])
        more = draw_train_negatives(self._train, triplets.look, config.n_negatives - 1, rng, config.negatives)
        return (*vars(triplets).values(), np.concatenate([triplets.negative[:, None], more], axis=1))


class BatchReader:
    """The towers' `ExampleSource`: pixels from the memory-mapped arrays, and masks from the ids of looks."""

    def __init__(self, train: LooksTrain, config: StlConfig, seed: int) -> None:
        self.stream = TripletStream(train, config, seed)
        self._data, self._rows, self._config = train.data, train.rows, config
        looks = train.data
        self._pairs = np.unique(looks.scene.astype(np.int64) * len(looks.product_ids) + looks.product)

    @property
    def n_examples(self) -> int:
        """Pairs per epoch."""
        return len(self._rows)

    @property
    def batch_size(self) -> int:
        """Pairs per step."""
        return self.stream.batch_size

    def batches(self, first: int, last: int) -> Iterator[Batch]:
        """The batches of steps `first` to `last`, the last not included."""
        return (self.gather(self.stream.step(step)) for step in range(first, last))

    def gather(self, drawn: Draw) -> Batch:
        """Pixels and masks of some triplets."""
        data, triplets = self._data, drawn.triplets
        drawn_too = self._config.mining in DRAWN
        products = np.concatenate([triplets.positive, drawn.negatives.ravel()]) if drawn_too else triplets.positive
        mask = self._masks_of_drawn if drawn_too else self._masks_of_batch
        return Batch(
            data.scene_images[triplets.scene],
            data.box[triplets.look],
            data.product_images[products],
            data.product_category[products],
            *mask(triplets, drawn.negatives.shape[1]),
        )

    def _masks_of_drawn(self, triplets: Triplets, n_negatives: int) -> tuple[np.ndarray, np.ndarray]:
        """Each scene has its own positive and the negatives that were drawn for it, and no others."""
        own = np.eye(len(triplets), dtype=bool)
        none = np.zeros_like(own)
        positive = np.concatenate([own, np.repeat(none, n_negatives, axis=1)], axis=1)
        return positive, np.concatenate([none, np.repeat(own, n_negatives, axis=1)], axis=1)

    def _masks_of_batch(self, triplets: Triplets, _: int) -> tuple[np.ndarray, np.ndarray]:
        """Each scene has all products of the batch that stand in it; the others are its negatives.

        Unless negatives are uniform, only those of the category of the scene's own positive are.
        """
        pairs = triplets.scene[:, None].astype(np.int64) * len(self._data.product_ids) + triplets.positive
        positive = np.isin(pairs, self._pairs)
        if self._config.negatives == "uniform":
            return positive, ~positive
        category = self._data.product_category[triplets.positive]
        return positive, ~positive & (category[:, None] == category)


def batch_size_of(train: LooksTrain, config: StlConfig) -> int:
    """Pairs per step: the setting's, or fewer where there are fewer pairs, and always a multiple of the devices."""
    return min(config.batch_size, len(train.rows) // config.n_devices * config.n_devices)
