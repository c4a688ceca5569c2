"""The settings in use, as the first trial of a sweep, and whether its best trial may take their place.

The best of many trials owes a part of its lead to the rows that it was chosen on: of twenty equal trials the best
looks better than its like. So half of the users (of the scenes, for looks) steer no trial, and on them alone the best
trial is compared with what is in use. That holds for any search, also one that learns from its results, for which
corrections for the number of trials do not; and it takes two fits more, instead of figures per user of every trial of
every machine.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int

BASELINE = 0
"""Number of the trial that is the settings in use."""
HELD_BACK = 0.5
"""Share of the users that steer nothing. The search and the comparison have the same need of them."""


@dataclass(frozen=True)
class Units:
    """A metric of one config, for each user or scene that was held back: its sum over their rows, and how many rows."""

    ids: Int[np.ndarray, " units"]
    totals: Float64[np.ndarray, " units"]
    rows: Float64[np.ndarray, " units"]


@dataclass(frozen=True)
class Gain:
    """How the best trial and the settings in use do on the same `n` users or scenes, which steered nothing."""

    baseline: float
    best: float
    low: float
    """Of `best − baseline`, with `high`: 95% over resampled units."""
    high: float
    p_value: float
    """One-sided: how often chance alone would let the trial look so much better."""
    n: int
    unit: str


@dataclass(frozen=True)
class Comparison:
    """Whether the best trial takes the place of the settings in use, and if not, why."""

    trial: int
    gain: Gain | None = None
    """None where there was nothing to compare."""
    why_not: str = ""

    @property
    def is_taken(self) -> bool:
        """Whether the best trial is better beyond chance."""
        return not self.why_not

    def document(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Comparison":
        """The inverse of `document`."""
        gain = document["gain"]
        return cls(document["trial"], None if gain is None else Gain(**gain), document["why_not"])


def held_back(ids: Int[np.ndarray, " rows"], seed: int) -> Bool[np.ndarray, " rows"]:
    """Which rows steer nothing: those of half of the users (or scenes), drawn with the seed."""
    units = np.unique(ids)
    drawn = np.random.default_rng([seed, len(units)]).permutation(units)[: int(len(units) * HELD_BACK)]
    return np.isin(ids, drawn)


def of_all_folds(found: Sequence[Units]) -> Units:
    """The figures of several folds, those of a unit that is in several of them added up."""
    ids, at = np.unique(np.concatenate([one.ids for one in found]), return_inverse=True)
    totals, rows = (np.concatenate([getattr(one, name) for one in found]) for name in ("totals", "rows"))
    return Units(ids, np.bincount(at, totals, len(ids)), np.bincount(at, rows, len(ids)))
