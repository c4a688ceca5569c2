"""Where a row may stand: with equal scores not at one place but at any of several, each as likely as the others.

A figure must not depend on how items are numbered, so equal scores are judged in expectation over all orders of the
tied items. A row whose score `tied` candidates share, itself among them, below `above` candidates, stands at each of
the places above + 1 … above + tied with the same chance. What adds up over rows follows from that alone. McSherry and
Najork, "Computing information retrieval performance measures efficiently in the presence of tied scores", ECIR 2008.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int, Int32, Integer

PlaceGain = Callable[[Float64[np.ndarray, " n"]], Float64[np.ndarray, " n"]]
"""What a hit at each place is worth; places count from 1."""


@dataclass(frozen=True)
class TiedPlaces:
    """The places of some rows among all candidates of their users."""

    above: Int32[np.ndarray, " rows"]
    """Candidates with a higher score."""
    tied: Int32[np.ndarray, " rows"]
    """Candidates with the same score, the row's own item among them; 1 where nothing is tied."""

    @classmethod
    def untied(cls, place: Integer[np.ndarray, " rows"]) -> "TiedPlaces":
        """Rows that stand at one place each, counted from 1."""
        return cls(place.astype(np.int32) - np.int32(1), np.ones(len(place), np.int32))

    def of(self, rows: Bool[np.ndarray, " rows"] | Int[np.ndarray, " some"]) -> "TiedPlaces":
        """Those of some rows."""
        return TiedPlaces(self.above[rows], self.tied[rows])

    @property
    def middle(self) -> Float64[np.ndarray, " rows"]:
        """The mean place of each row."""
        return 1 + self.above + (self.tied - 1) / 2

    def chance_within(self, k: int | Integer[np.ndarray, " rows"]) -> Float64[np.ndarray, " rows"]:
        """The chance of each row to stand among the first k places."""
        return np.clip(k - self.above, 0, self.tied) / self.tied

    def mean_gain(self, gain: PlaceGain, k: int) -> Float64[np.ndarray, " rows"]:
        """The mean of a gain over the places that each row may stand at, worth nothing past place k.

        >>> TiedPlaces(np.array([0, 1], np.int32), np.array([1, 2], np.int32)).mean_gain(lambda place: 1 / place, 2)
        array([1.  , 0.25])
        """
        running = np.concatenate([[0.0], np.cumsum(gain(np.arange(1.0, k + 1)))])
        first, last = np.minimum(self.above, k), np.minimum(self.above.astype(np.int64) + self.tied, k)
        alone = np.where(self.above < k, gain(self.above + 1.0), 0.0)
        return np.where(self.tied == 1, alone, (running[last] - running[first]) / self.tied)
