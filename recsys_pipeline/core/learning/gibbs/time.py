"""Time bins of rating models: how a user's or an item's ratings of one stretch of time differ from its others.

Each bin has a bias with a common normal prior, after timeSVD++ (Koren, "Collaborative filtering with temporal
dynamics", KDD 2009, equations 6 to 11), whose day biases of users and bins of items they are. A bin is one number per
rating, so that its conditional is a weighted mean and needs no compiled kernel.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64

from recsys_pipeline.core.learning.gibbs.conditionals import Conditionals
from recsys_pipeline.core.ratings import Ratings

DAY_US = 86_400e6


@dataclass(frozen=True)
class BinSettings:
    """How fine the bins are; 0 leaves a term out."""

    item_bins: int = 0
    """Equal stretches from the first to the last training rating."""
    user_bin_days: float = 0.0


NO_BINS = BinSettings()


@dataclass(frozen=True)
class TimeBins:
    """The borders of the bins, from the training set; instants outside take the nearest bin."""

    settings: BinSettings
    start_us: int
    end_us: int

    @classmethod
    def over(cls, ratings: Ratings, settings: BinSettings) -> "TimeBins":
        """Bins over the span of `ratings`."""
        times = ratings.timestamp_us
        return cls(settings, int(times.min()), int(times.max())) if len(times) else cls(settings, 0, 0)

    def item_keys(self, ratings: Ratings) -> Int64[np.ndarray, " n"]:
        """`item × bins + bin` of each rating."""
        bins, span = self.settings.item_bins, max(self.end_us - self.start_us, 1)
        number = ((ratings.timestamp_us - self.start_us) / span * bins).astype(np.int64)
        return ratings.item.astype(np.int64) * bins + np.clip(number, 0, bins - 1)

    def user_keys(self, ratings: Ratings) -> Int64[np.ndarray, " n"]:
        """`user × bins + bin` of each rating."""
        width = self.settings.user_bin_days * DAY_US
        bins = int((self.end_us - self.start_us) / width) + 1
        number = ((ratings.timestamp_us - self.start_us) / width).astype(np.int64)
        return ratings.user.astype(np.int64) * bins + np.clip(number, 0, bins - 1)

    def last_keys(self, n_items: int) -> Int64[np.ndarray, " items"]:
        """Each item's last bin: the present, as far as the training set knows."""
        return (np.arange(n_items, dtype=np.int64) + 1) * self.settings.item_bins - 1

    def keys(self, ratings: Ratings) -> list[Int64[np.ndarray, " n"]]:
        """The keys of each term that is in use, items first."""
        found = [self.item_keys(ratings)] if self.settings.item_bins else []
        return [*found, self.user_keys(ratings)] if self.settings.user_bin_days else found


@dataclass(frozen=True)
class BinEffects:
    """The biases of the bins that have a rating, by key, ascending; other bins have 0."""

    keys: Int64[np.ndarray, " bins"]
    values: Float32[np.ndarray, " bins"]

    def of(self, keys: Int64[np.ndarray, " n"]) -> Float32[np.ndarray, " n"]:
        """The bias of each key."""
        if not len(self.keys):
            return np.zeros(len(keys), np.float32)
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[at] == keys, self.values[at], np.float32(0))


class BinDraws:
    """The biases of one kind of time bin, as part of the chain's state."""

    def __init__(self, keys: Int64[np.ndarray, " n"], by: Conditionals) -> None:
        self.keys, self.at = np.unique(keys, return_inverse=True)
        self.count, self.by = np.bincount(self.at, minlength=len(self.keys)), by
        self.values = np.zeros(len(self.keys), np.float32)

    def draw(self, error: Float32[np.ndarray, " n"], noise_precision: float) -> None:
        """Given what nothing else explains: precision `λ + τ n` and mean `τ Σ error` over it."""
        precision = self.precision() + noise_precision * self.count
        mean = noise_precision * np.bincount(self.at, error, minlength=len(self.keys)) / precision
        self.values = (mean + self.by.normals(mean.shape) / np.sqrt(precision)).astype(np.float32)

    def precision(self) -> float:
        """λ, given the biases."""
        return self.by.bin_precision(self.values)

    def of_rows(self) -> Float32[np.ndarray, " n"]:
        """Each rating's bias."""
        return self.values[self.at]

    def effects(self) -> BinEffects:
        """The present biases by key."""
        return BinEffects(self.keys, self.values)
