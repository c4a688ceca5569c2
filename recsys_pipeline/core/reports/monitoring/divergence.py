"""How far two samples lie apart, and how far chance alone would put them.

The population stability index of two binned distributions p (reference) and q (now) is

    PSI = Σ_b (q_b − p_b) ln(q_b / p_b) = KL(q ‖ p) + KL(p ‖ q),

Jeffreys' divergence (Jeffreys, "An invariant form for the prior probability in estimation problems", Proc. R. Soc. A,
1946). Below .1 is usually read as no change, .1 to .25 as some, above .25 as a real one (Siddiqi, "Credit Risk
Scorecards", 2006). That reading holds for large samples only: two samples of one distribution, of sizes n and m, give
(1/n + 1/m) χ²(B − 1) over B bins, so (B − 1)(1/n + 1/m) on average (Yurdakul and Naranjo, "Statistical properties of
the population stability index", Journal of Risk Model Validation, 2020): .36 for 10 bins and 50 values a side.

The n that counts is the number of independent values. A user's events are alike, which inflates the variance of every
bin; n is divided by that inflation, averaged over bins as Rao and Scott do ("The analysis of categorical data from
complex sample surveys", JASA 1981, first-order correction of χ²).
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np
import scipy
from jaxtyping import Float64, Int64, Integer, Num

from recsys_pipeline.core.reports.monitoring.priors import Distribution

SMOOTHING = 0.5
"""Added to every bin's count (Jeffreys' prior), so that an empty bin has a finite logarithm."""
OTHER = "other"
UNITS_PER_BIN = 20
"""Users or items per bin, on average and on the smaller side: χ² wants 5 or more, and some bins are thin."""


def psi(reference: Num[np.ndarray, " bins"], now: Num[np.ndarray, " bins"]) -> float:
    """Population stability index of two histograms over the same bins, given as counts; NaN where a side is empty.

    >>> round(psi(np.array([500, 500]), np.array([750, 250])), 3)
    0.274
    """
    return _divergence(now, reference) + _divergence(reference, now)


def kl(now: Num[np.ndarray, " bins"], reference: Num[np.ndarray, " bins"]) -> float:
    """Kullback-Leibler divergence KL(now ‖ reference) in nats, of smoothed counts; NaN where a side is empty."""
    return _divergence(now, reference)


def _divergence(p: np.ndarray, q: np.ndarray) -> float:
    if not p.sum() or not q.sum():
        return math.nan
    smooth_p, smooth_q = ((counts + SMOOTHING) / (counts.sum() + SMOOTHING * len(counts)) for counts in (p, q))
    # Rounding can leave a divergence of equal histograms a hair below its floor, 0.
    return max(0.0, float((smooth_p * np.log(smooth_p / smooth_q)).sum()))


def effective_size(row_bin: Integer[np.ndarray, " n"], unit: Int64[np.ndarray, " n"], n_bins: int) -> float:
    """How many independent values the binned sample is worth: n over the mean design effect, between 1 and n.

    The design effect of bin b is the variance of its share over units, C/(C − 1) Σ_c (n_cb − p_b n_c)² / n², over
    that of independent values, p_b (1 − p_b) / n; bins are weighted by (1 − p_b) (Rao and Scott 1981, section 3).

    >>> effective_size(np.array([0, 0, 0, 1, 1, 1]), np.array([1, 1, 1, 2, 2, 2]), 2)  # two users, three times each
    1.0
    """
    n = len(row_bin)
    units, at = np.unique(unit, return_inverse=True)
    if n < 2 or len(units) < 2:
        return float(min(n, 1))
    counts = np.bincount(at * n_bins + row_bin, minlength=len(units) * n_bins).reshape(len(units), n_bins)
    counts = counts[:, counts.sum(axis=0) > 0]
    if counts.shape[1] < 2:
        return float(len(units))
    p = counts.sum(axis=0) / n
    spread = counts - p * counts.sum(axis=1, keepdims=True)
    variance = len(units) / (len(units) - 1) * (spread**2).sum(axis=0) / n**2
    design_effect = (n * variance / p).sum() / (len(p) - 1)
    return float(np.clip(n / max(design_effect, 1 / n), 1.0, n))


@dataclass(frozen=True)
class Chance:
    """What PSI would be if nothing had changed: `scale` × χ² with `freedom` degrees."""

    scale: float
    """1/n + 1/m, in independent values."""
    freedom: int

    @property
    def mean(self) -> float:
        """PSI that chance gives on average."""
        return self.scale * self.freedom

    def upper(self, alpha: float) -> float:
        """PSI that chance exceeds with probability `alpha`."""
        return self.scale * float(scipy.stats.chi2.isf(alpha, self.freedom))


@dataclass(frozen=True)
class Binned:
    """Two samples over the bins that the reference decides; bins that are empty on both sides are left out."""

    labels: tuple[str, ...]
    reference: Int64[np.ndarray, " bins"]
    now: Int64[np.ndarray, " bins"]
    """Counts."""
    effective: tuple[float, float]
    """Independent values that reference and now are worth."""

    @property
    def chance(self) -> Chance:
        """What PSI would be if nothing had changed."""
        return Chance(sum(1 / size for size in self.effective), max(len(self.labels) - 1, 1))


def binned(reference: Distribution, now: Distribution, max_bins: int, max_categories: int) -> Binned:
    """Bin two samples of one kind, neither empty: numbers by quantiles of the reference, labels by its most frequent.

    There are fewer bins where the smaller side has few units, so that an hour can be held against a month.
    """
    units = min(len(np.unique(side.unit)) for side in (reference, now))
    n_bins = max(2, units // UNITS_PER_BIN)
    if reference.is_labels:
        labels, rows = _by_label(reference, now, min(n_bins, max_categories))
    else:
        edges = bin_edges(reference.values, min(n_bins, max_bins), max_bins)
        labels = edge_labels(edges)
        rows = [np.searchsorted(edges, side.values, side="right") for side in (reference, now)]
    used, packed = np.unique(np.concatenate(rows), return_inverse=True)
    sides = (packed[: len(reference)], packed[len(reference) :])
    counts = [np.bincount(row, minlength=len(used)) for row in sides]
    sizes = [effective_size(row, side.unit, len(used)) for row, side in zip(sides, (reference, now), strict=True)]
    return Binned(tuple(labels[at] for at in used), counts[0], counts[1], (sizes[0], sizes[1]))


def _by_label(reference: Distribution, now: Distribution, n_labels: int) -> tuple[list[str], list[np.ndarray]]:
    names, size = np.unique(reference.values.astype(str), return_counts=True)
    kept = sorted(names[np.argsort(-size, kind="stable")][:n_labels].tolist())
    place = {name: at for at, name in enumerate(kept)}
    rows = [np.array([place.get(label, len(kept)) for label in side.values], np.int64) for side in (reference, now)]
    return [*kept, OTHER], rows


def bin_edges(values: Float64[np.ndarray, " n"], n_bins: int, max_values: int = 0) -> Float64[np.ndarray, " edges"]:
    """Inner edges near the quantiles of the reference; bin i holds `edges[i − 1] ≤ x < edges[i]`.

    An edge lies midway between two neighbouring values and never on one: a value that many share, such as a count
    divided by a total that moves a little each day, must not hop over an edge with all that share it. Up to
    `max_values` values that come often enough (stars, say) get a bin each: quantiles would merge the rare ones.

    >>> bin_edges(np.arange(8.0), 4)
    array([1.5, 3.5, 5.5])
    """
    distinct = np.unique(values)
    between = (distinct[1:] + distinct[:-1]) / 2
    if len(distinct) <= min(max_values, len(values) // UNITS_PER_BIN):
        return between
    quantiles = np.unique(np.quantile(values, np.arange(1, n_bins) / n_bins, method="higher"))
    return between[np.searchsorted(distinct, quantiles[quantiles > distinct[0]]) - 1]


def edge_labels(edges: Float64[np.ndarray, " edges"]) -> list[str]:
    """The bins in words."""
    texts = [f"{edge:.4g}" for edge in edges]
    if not texts:
        return ["all"]
    inner = [f"{low} – {high}" for low, high in itertools.pairwise(texts)]
    return [f"< {texts[0]}", *inner, f"≥ {texts[-1]}"]
