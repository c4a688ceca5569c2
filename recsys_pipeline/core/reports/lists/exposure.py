"""Which items and users the lists of a model reach: one registered figure each per cut-off, over all lists together.

A figure here belongs to the whole set of lists, not to a user. It grows, or falls, with the number of users, so it is
shown with n and without a bootstrap interval, which would be biased (a resample repeats users and so reaches fewer
items). Compare models on the same users only.
"""

import math
import warnings
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from jaxtyping import Float64, Int, Integer, Num

from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.reports.accuracy.metrics import catalogue_coverage
from recsys_pipeline.core.reports.lists.beyond_accuracy import check_ks

ExposureMetric = Callable[[np.ndarray, np.ndarray, tuple[int, ...]], np.ndarray]
"""`f(top [users, places], popularity [items], ks) -> [ks]`; popularity counts the train rows of each item."""

EXPOSURE_METRICS: dict[str, ExposureMetric] = {}
"""Every figure of all lists together by its short name, in the order in which reports show them."""

F = TypeVar("F", bound=ExposureMetric)


def exposure_metric(name: str) -> Callable[[F], F]:
    """Register a figure of all lists together under its short name."""

    def register(function: F) -> F:
        if name in EXPOSURE_METRICS:
            raise SettingError(f"two exposure metrics register the name {name!r}")
        EXPOSURE_METRICS[name] = function
        return function

    return register


def exposure_values(
    top: Integer[np.ndarray, "users places"], popularity: Int[np.ndarray, " items"], ks: Sequence[int]
) -> dict[tuple[str, int], float]:
    """Every registered figure by (metric, k); NaN, with a warning, without lists or items."""
    cutoffs = check_ks(ks)
    if not len(top) or not len(popularity):
        warnings.warn("exposure of no lists is undefined: reported as NaN", stacklevel=2)
        return {(name, k): math.nan for name in EXPOSURE_METRICS for k in cutoffs}
    return {
        (name, k): float(value)
        for name, metric in EXPOSURE_METRICS.items()
        for k, value in zip(cutoffs, metric(top, popularity, cutoffs), strict=True)
    }


@exposure_metric("catalogue_coverage")
def coverage(
    top: Integer[np.ndarray, "users places"], popularity: Int[np.ndarray, " items"], ks: tuple[int, ...]
) -> Float64[np.ndarray, " ks"]:
    """The share of the catalogue that at least one user is shown in the first k places (Ge et al. 2010)."""
    return catalogue_coverage(top, len(popularity), ks)


@exposure_metric("user_coverage")
def user_coverage(
    top: Integer[np.ndarray, "users places"],
    popularity: Int[np.ndarray, " items"],  # noqa: ARG001 - the registered signature
    ks: tuple[int, ...],
) -> Float64[np.ndarray, " ks"]:
    """The share of users whose first k places are all filled: for whom the model can recommend k items.

    Shani and Gunawardana, "Evaluating recommendation systems", 2011: user space coverage.
    """
    filled = (top >= 0).sum(axis=1)
    return (filled[:, None] >= np.asarray(ks)).mean(axis=0)


@exposure_metric("gini")
def gini_of_lists(
    top: Integer[np.ndarray, "users places"], popularity: Int[np.ndarray, " items"], ks: tuple[int, ...]
) -> Float64[np.ndarray, " ks"]:
    """How unevenly the first k places are spread over all items of the catalogue: see `gini`."""
    return np.array([gini(shown_counts(top, len(popularity), k)) for k in ks])


@exposure_metric("matthew_effect")
def matthew_of_lists(
    top: Integer[np.ndarray, "users places"], popularity: Int[np.ndarray, " items"], ks: tuple[int, ...]
) -> Float64[np.ndarray, " ks"]:
    """How much more of the first k places popular items take than of the train rows: see `matthew_effect`."""
    return np.array([matthew_effect(shown_counts(top, len(popularity), k), popularity) for k in ks])


def shown_counts(top: Integer[np.ndarray, "users places"], n_items: int, k: int) -> Int[np.ndarray, " items"]:
    """How many users see each item in their first k places."""
    shown = top[:, :k]
    return np.bincount(shown[shown >= 0], minlength=n_items)


def gini(counts: Num[np.ndarray, " items"]) -> float:
    """The Gini index of non-negative counts: 0 where all are equal, (n − 1) / n where one item has everything.

    G = Σ_i (2i − n − 1) x_(i) / (n Σ x), with x ascending. NaN, with a warning, where nothing is counted.
    Gini 1912; for recommendations Fleder and Hosanagar, "Blockbuster culture's next rise or fall", 2009.

    >>> gini(np.array([0, 0, 0, 8]))
    0.75
    """
    ordered = np.sort(counts).astype(np.float64)
    n, total = len(ordered), ordered.sum()
    if total == 0:
        warnings.warn("the Gini index of no recommendations is undefined: reported as NaN", stacklevel=2)
        return math.nan
    return float((2 * np.arange(1, n + 1) - n - 1) @ ordered / (n * total))


def gini_loop(counts: Sequence[int]) -> float:
    """The readable twin of `gini`: half the mean difference between two items, relative to the mean count."""
    n, mean = len(counts), sum(counts) / len(counts)
    return sum(abs(a - b) for a in counts for b in counts) / (2 * n * n * mean)


def matthew_curve(
    shown: Num[np.ndarray, " items"], popularity: Num[np.ndarray, " items"]
) -> Float64[np.ndarray, "2 points"]:
    """Does "the rich get richer"? Shares taken by the most popular 0, 1, …, n items: of train rows, of recommendations.

    Items are ordered by train rows, most first. Where the second row is above the first, popular items get more of
    the lists than they had of the interactions, and the next day's data will be more uneven. Items with equally many
    train rows share alike, so their order does not matter. NaN, with a warning, where either has no rows.
    Merton, "The Matthew effect in science", 1968; the pair of curves is the concentration curve of Kakwani 1977.
    """
    had, got = popularity.astype(np.float64), shown.astype(np.float64)
    if not had.sum() or not got.sum():
        warnings.warn("the Matthew curve of no rows is undefined: reported as NaN", stacklevel=2)
        return np.full((2, len(had) + 1), np.nan)
    order = np.argsort(-had, kind="stable")
    _, group, sizes = np.unique(-had[order], return_inverse=True, return_counts=True)
    alike = (np.bincount(group, got[order]) / sizes)[group]
    curves = np.stack([np.cumsum(had[order]) / had.sum(), np.cumsum(alike) / got.sum()])
    return np.concatenate([np.zeros((2, 1)), curves], axis=1)


def matthew_effect(shown: Num[np.ndarray, " items"], popularity: Num[np.ndarray, " items"]) -> float:
    """Twice the area between the two Matthew curves: above 0, popular items get more than they had.

    0 where recommendations follow the train rows exactly, −gini(popularity) where every item is shown equally often.
    The progressivity index of Kakwani, "Measurement of tax progressivity", The Economic Journal 1977.
    """
    had, got = matthew_curve(shown, popularity)
    return float(2 * np.trapezoid(got - had, dx=1 / max(len(shown), 1)))
