"""The reliability curve and the expected calibration error, each next to what chance alone would show."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.reports.calibration.probabilities import Z_95, brier_score, check_probabilities, log_loss

N_BINS = 10
_NULL_DRAWS = 2000


@dataclass(frozen=True)
class ReliabilityBin:
    """Rows with similar probabilities: what was promised and what happened."""

    model: str
    predicted: float
    """Mean probability."""
    observed: float
    """Share of rows with the outcome."""
    low: float
    """95% Wilson interval of `observed`, for `n_effective` independent rows."""
    high: float
    n: int
    n_effective: float
    """Kish's (Σw)² / Σw²: n where all weights are equal."""
    share: float
    """Of all weight."""
    variance: float
    """Of `observed` if every probability were true: Σ w² p (1 − p) / (Σ w)²."""


@dataclass(frozen=True)
class CalibrationSummary:
    """How far the probabilities of one model can be believed."""

    model: str
    ece: float
    """Expected calibration error: Σ_b share_b · |observed_b − predicted_b|."""
    ece_null: float
    """Its mean where every probability is true, on as many rows: not 0, because shares of few rows scatter."""
    ece_null_high: float
    """Its 95% quantile there: an error above it is not chance."""
    rms_debiased: float
    """Root mean squared calibration error with the scatter of bins taken off."""
    brier: float
    brier_of_mean: float
    """Brier score of giving every row the overall share: the score to beat."""
    log_loss: float
    outcome_share: float
    n: int

    @property
    def is_calibrated(self) -> bool:
        """Whether the error is within what perfect probabilities would show."""
        return self.ece <= self.ece_null_high


def reliability_curve(
    probabilities: Float[np.ndarray, " rows"],
    outcomes: Bool[np.ndarray, " rows"],
    weights: Float[np.ndarray, " rows"] | None = None,
    n_bins: int = N_BINS,
    model: str = "",
) -> list[ReliabilityBin]:
    """Rows in bins of about equal weight, by rising probability, with Wilson intervals.

    Equal probabilities stay in one bin, so the curve does not depend on the order of rows; many equal ones give fewer
    bins. Empty, with a warning, without rows. Wilson, "Probable inference", JASA 1927; for weighted rows with Kish's
    effective number. Rows count as independent: several rows of one user make intervals too narrow.
    """
    if n_bins < 1:
        raise SettingError(f"n_bins = {n_bins}: at least one is needed")
    weight = check_probabilities(probabilities, outcomes, weights)
    if not weight.sum():
        warnings.warn("a reliability curve of no rows is undefined: it is empty", stacklevel=2)
        return []
    _, group = np.unique(probabilities, return_inverse=True)
    mass = np.bincount(group, weight) / weight.sum()
    middle = np.cumsum(mass) - mass / 2
    at = np.minimum((middle * n_bins).astype(int), n_bins - 1)[group]
    return [
        _bin(model, probabilities[at == b], outcomes[at == b], weight[at == b], weight.sum())
        for b in np.unique(at[weight > 0])
    ]


def calibration_summary(
    probabilities: Float[np.ndarray, " rows"],
    outcomes: Bool[np.ndarray, " rows"],
    seed: int,
    weights: Float[np.ndarray, " rows"] | None = None,
    n_bins: int = N_BINS,
    model: str = "",
) -> tuple[CalibrationSummary, list[ReliabilityBin]]:
    """The figures of one model and its curve; NaN, with a warning, without rows."""
    bins = reliability_curve(probabilities, outcomes, weights, n_bins, model)
    if not bins:
        return CalibrationSummary(model, *[math.nan] * 8, n=0), []
    null_mean, null_high = null_calibration_error(bins, seed)
    observed = sum(row.share * row.observed for row in bins)
    constant = np.full(len(outcomes), observed)
    summary = CalibrationSummary(
        model=model,
        ece=expected_calibration_error(bins),
        ece_null=null_mean,
        ece_null_high=null_high,
        rms_debiased=debiased_rms_error(bins),
        brier=brier_score(probabilities, outcomes, weights),
        brier_of_mean=brier_score(constant, outcomes, weights),
        log_loss=log_loss(probabilities, outcomes, weights),
        outcome_share=observed,
        n=sum(row.n for row in bins),
    )
    return summary, bins


def expected_calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    """Σ_b share_b · |observed_b − predicted_b|: how far off a probability is, on average; NaN without bins.

    Naeini, Cooper and Hauskrecht, "Obtaining well calibrated probabilities using Bayesian binning", AAAI 2015, with
    bins of equal mass. It is biased upwards: compare it with `null_calibration_error`.
    """
    return sum(row.share * abs(row.observed - row.predicted) for row in bins) if bins else math.nan


def null_calibration_error(bins: Sequence[ReliabilityBin], seed: int) -> tuple[float, float]:
    """Mean and 95% quantile of the calibration error if every probability were true, for bins of these sizes.

    Each bin's gap is then near normal with variance Σ w² p (1 − p) / (Σ w)². The mean is Σ_b share_b · sqrt(2/π) · σ_b;
    the quantile comes from 2,000 seeded draws. The normal form is rough where a bin expects fewer than about five
    sales. Bröcker and Smith, "Increasing the reliability of reliability diagrams", 2007 (consistency resampling).
    """
    shares = np.array([row.share for row in bins])
    sigma = np.sqrt([row.variance for row in bins])
    draws = np.abs(np.random.default_rng(seed).standard_normal((_NULL_DRAWS, len(bins)))) * sigma @ shares
    return float(shares @ sigma * math.sqrt(2 / math.pi)), float(np.quantile(draws, 0.95))


def debiased_rms_error(bins: Sequence[ReliabilityBin]) -> float:
    """sqrt(Σ_b share_b [(observed − predicted)² − observed (1 − observed) / (n_b − 1)]), and 0 where that is negative.

    The second term is what a share of n_b rows scatters by itself; n_b is the effective number. Bins of one row say
    nothing about it and are left out; NaN where no bin is left.
    Kumar, Liang and Ma, "Verified uncertainty calibration", NeurIPS 2019: the debiased estimator.
    """
    rows = [row for row in bins if row.n_effective > 1]
    if not rows:
        return math.nan
    terms = [
        row.share * ((row.observed - row.predicted) ** 2 - row.observed * (1 - row.observed) / (row.n_effective - 1))
        for row in rows
    ]
    return math.sqrt(max(0.0, sum(terms) / sum(row.share for row in rows)))


def wilson_interval(share: float, n: float) -> tuple[float, float]:
    """The 95% interval of a share of n rows; unlike share ± 1.96 σ it stays within 0–1 and is not empty at 0.

    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 1927.
    """
    square = Z_95**2 / n
    centre = (share + square / 2) / (1 + square)
    half = Z_95 * math.sqrt(share * (1 - share) / n + square / (4 * n)) / (1 + square)
    return max(0.0, centre - half), min(1.0, centre + half)


def _bin(
    model: str, probabilities: np.ndarray, outcomes: np.ndarray, weight: np.ndarray, total: float
) -> ReliabilityBin:
    mass, squares = weight.sum(), weight @ weight
    observed = float(weight @ outcomes / mass)
    n_effective = float(mass**2 / squares)
    low, high = wilson_interval(observed, n_effective)
    return ReliabilityBin(
        model=model,
        predicted=float(weight @ probabilities / mass),
        observed=observed,
        low=low,
        high=high,
        n=int((weight > 0).sum()),
        n_effective=n_effective,
        share=float(mass / total),
        variance=float(weight**2 @ (probabilities * (1 - probabilities)) / mass**2),
    )
