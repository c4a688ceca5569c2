"""The endless stream of triplets that training walks along, addressable by step so that it can resume anywhere."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8

from recsys_pipeline.core.dataset.looks import LookData
from recsys_pipeline.core.folds.triplets import LooksTrain, Triplets, draw_triplets


class Batch(NamedTuple):
    """Pixels of one step."""

    scene: UInt8[np.ndarray, "batch size size 3"]
    box: Float32[np.ndarray, "batch 4"]
    positive: UInt8[np.ndarray, "batch size size 3"]
    negative: UInt8[np.ndarray, "batch size size 3"]


class TripletStream:
    """Epoch 0, epoch 1, … end to end, cut into steps of `batch_size`.

    Batches run across the end of an epoch, so no pair is dropped and every batch has one shape.
    """

    def __init__(self, train: LooksTrain, seed: int, batch_size: int) -> None:
        self._train, self._seed, self._batch_size = train, seed, batch_size
        self._drawn: tuple[int, Triplets] | None = None

    def step(self, step: int) -> Triplets:
        """The triplets of one step, whatever was asked for before."""
        n = len(self._train.rows)
        start, stop = step * self._batch_size, (step + 1) * self._batch_size
        parts = []
        for epoch in range(start // n, (stop - 1) // n + 1):
            drawn = self._epoch(epoch)
            within = slice(max(start - epoch * n, 0), stop - epoch * n)
            parts.append([column[within] for column in (drawn.look, drawn.scene, drawn.positive, drawn.negative)])
        return Triplets(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))

    def _epoch(self, epoch: int) -> Triplets:
        if self._drawn is None or self._drawn[0] != epoch:
            self._drawn = (epoch, draw_triplets(self._train, self._seed, epoch))
        return self._drawn[1]


def gather(data: LookData, triplets: Triplets) -> Batch:
    """The pixels of the triplets, read from the memory-mapped arrays."""
    return Batch(
        data.scene_images[triplets.scene],
        data.box[triplets.look],
        data.product_images[triplets.positive],
        data.product_images[triplets.negative],
    )
