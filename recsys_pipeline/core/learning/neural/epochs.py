"""The endless stream of rows that a training walks along, addressable by step so that it can resume anywhere."""

from collections.abc import Callable

import numpy as np

Columns = tuple[np.ndarray, ...]


class Epochs:
    """Epoch 0, epoch 1, … end to end, cut into steps of `batch_size`.

    Batches run across the end of an epoch, so no row is dropped and every batch has one shape. `draw(epoch)` gives the
    columns of an epoch, each of `n_rows`, in the order in which the epoch shows them.
    """

    def __init__(self, n_rows: int, batch_size: int, draw: Callable[[int], Columns]) -> None:
        self.n_rows, self.batch_size, self._draw = n_rows, batch_size, draw
        self._drawn: tuple[int, Columns] | None = None

    def step(self, step: int) -> Columns:
        """The rows of one step, whatever was asked for before."""
        start, stop = step * self.batch_size, (step + 1) * self.batch_size
        parts = []
        for epoch in range(start // self.n_rows, (stop - 1) // self.n_rows + 1):
            within = slice(max(start - epoch * self.n_rows, 0), stop - epoch * self.n_rows)
            parts.append([column[within] for column in self._epoch(epoch)])
        return tuple(np.concatenate(columns) for columns in zip(*parts, strict=True))

    def _epoch(self, epoch: int) -> Columns:
        if self._drawn is None or self._drawn[0] != epoch:
            self._drawn = (epoch, self._draw(epoch))
        return self._drawn[1]
