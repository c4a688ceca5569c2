"""Off-policy estimators: what would another policy have earned, from the log of the one that ran?

Each estimator is one registered function of a `PolicySample`; reports then include it. It gives the value, the
influence of each row on it, and the weights that it used. All intervals are normal 95% intervals on the influence
values, summed within a user because requests of one user are not independent (the cluster-robust sandwich; Student's
t with users − 1 degrees of freedom). They trust the central limit theorem, which a few huge weights break: read
`effective_n` and `max_weight` beside every figure.

Notation: r reward, p propensity of the logged action, π its probability under the target policy, w = π / p,
q̂ predicted reward of the logged action, v̂ = Σ_a π(a) q̂(a), n rows.
"""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import scipy
from jaxtyping import Float64, Int64

from recsys_pipeline.core.errors import DataError, SettingError

CONFIDENCE = 0.95


@dataclass(frozen=True)
class PolicySample:
    """What the estimators need of each logged decision, for one target policy."""

    reward: Float64[np.ndarray, " n"]
    propensity: Float64[np.ndarray, " n"]
    """Probability of the logged action under the logging policy, in (0, 1]."""
    target: Float64[np.ndarray, " n"]
    """Probability of the logged action under the target policy, in [0, 1]."""
    predicted: Float64[np.ndarray, " n"]
    """q̂: predicted reward of the logged action, by a model that did not learn from this row."""
    expected: Float64[np.ndarray, " n"]
    """v̂: predicted reward of the target policy in this context."""
    cluster: Int64[np.ndarray, " n"]
    """What is independent of what: the user."""

    def __post_init__(self) -> None:
        for name, holds, words in (
            ("reward", np.isfinite(self.reward), "finite"),
            ("propensity", (self.propensity > 0) & (self.propensity <= 1), "in (0, 1]"),
            ("target", (self.target >= 0) & (self.target <= 1 + 1e-9), "in [0, 1]"),
            ("predicted", np.isfinite(self.predicted), "finite"),
            ("expected", np.isfinite(self.expected), "finite"),
        ):
            if not holds.all():
                row = int(np.flatnonzero(~holds)[0])
                raise DataError(f"{name} in row {row} is {getattr(self, name)[row]}: it must be {words}")

    def __len__(self) -> int:
        return len(self.reward)

    @property
    def weight(self) -> Float64[np.ndarray, " n"]:
        """w: how much more often the target policy chooses the logged action; its mean is 1 where all is right."""
        return self.target / self.propensity


@dataclass(frozen=True)
class Contributions:
    """An estimate and where it comes from: `influence` has mean 0, and its spread over √n is the standard error."""

    value: float
    influence: Float64[np.ndarray, " n"]
    weight: Float64[np.ndarray, " n"]
    """How much each row counts, for the effective sample size."""


Estimator = Callable[[PolicySample, float], Contributions]
"""`f(sample, clip)`; `clip` is the largest weight, for the estimators that clip."""

ESTIMATORS: dict[str, Estimator] = {}
"""Every estimator by its name, in the order in which reports show them."""

F = TypeVar("F", bound=Estimator)


def estimator(name: str) -> Callable[[F], F]:
    """Register an estimator under its name."""

    def register(function: F) -> F:
        if name in ESTIMATORS:
            raise SettingError(f"two off-policy estimators register the name {name!r}")
        ESTIMATORS[name] = function
        return function

    return register


@estimator("naive")
def naive(sample: PolicySample, clip: float) -> Contributions:
    """What a careless analyst does: the mean reward where the log did what the target would do, Σ π r / Σ π.

    For a policy that always picks one action it is the mean over matching rows, the replay of Li et al., WSDM 2011,
    which is right only where the log chose at random. Anything that moved both the choice and the reward biases it.
    """
    del clip
    return _ratio(sample.reward, sample.target)


@estimator("direct")
def direct(sample: PolicySample, clip: float) -> Contributions:
    """The direct method, Σ v̂ / n: believe the reward model. Little variance, and all of the model's bias."""
    del clip
    return _mean(sample.expected, np.ones(len(sample)))


@estimator("ips")
def ips(sample: PolicySample, clip: float) -> Contributions:
    """Inverse propensity scoring, Σ w r / n: unbiased, and wild where w is large.

    Horvitz and Thompson, "A generalization of sampling without replacement", JASA 1952.
    """
    del clip
    return _mean(sample.weight * sample.reward, sample.weight)


@estimator("clipped_ips")
def clipped_ips(sample: PolicySample, clip: float) -> Contributions:
    """IPS with weights cut at `clip`, Σ min(w, clip) r / n: calmer, and biased downwards for rewards above 0.

    Ionides, "Truncated importance sampling", JCGS 2008; Bottou et al., JMLR 2013, section 4.3.
    """
    weight = np.minimum(sample.weight, clip)
    return _mean(weight * sample.reward, weight)


@estimator("snips")
def snips(sample: PolicySample, clip: float) -> Contributions:
    """Self-normalised IPS, Σ w r / Σ w: a constant added to all rewards is added to the estimate, as it should be.

    Biased by O(1/n). Swaminathan and Joachims, "The self-normalized estimator for counterfactual learning", NIPS 2015.
    """
    del clip
    return _ratio(sample.reward, sample.weight)


@estimator("doubly_robust")
def doubly_robust(sample: PolicySample, clip: float) -> Contributions:
    """The direct method with its error corrected by IPS, Σ (v̂ + w (r − q̂)) / n.

    Right where either the propensities or the reward model are; with logged propensities the model only lowers the
    variance. Dudík, Langford and Li, "Doubly robust policy evaluation and learning", ICML 2011, equation 1.
    """
    del clip
    return _mean(sample.expected + sample.weight * (sample.reward - sample.predicted), sample.weight)


@dataclass(frozen=True)
class PolicyEstimate:
    """One policy's value by one estimator, with its 95% interval and what says whether to trust it."""

    policy: str
    estimator: str
    value: float
    low: float
    high: float
    n: int
    """Logged decisions."""
    effective_n: float
    """Kish's (Σw)² / Σw²: the equally weighted rows that would be as precise, as far as the weights tell."""
    max_weight: float
    mean_weight: float
    """Of w, before clipping: near 1 unless propensities are wrong or the log never does what the target does."""
    share_clipped: float
    """Rows whose w exceeds the clip, whether this estimator clips or not."""
    truth: float = math.nan
    """What the policy really earns, where the source knows."""

    @property
    def covers(self) -> bool:
        """Whether the interval holds the truth; False where either is not known."""
        return self.low <= self.truth <= self.high


def estimate_policy(
    policy: str, sample: PolicySample, clip: float = 0.0, truth: float = math.nan
) -> list[PolicyEstimate]:
    """One policy by every registered estimator.

    `clip` is the largest weight of those that clip; 0 takes √n (Ionides 2008). Estimators that weigh rows are NaN,
    with a warning, where the log never does what the policy would do; all are for no rows.

    >>> rows = np.ones(4)
    >>> sample = PolicySample(rows, rows / 2, rows / 2, rows, rows, np.arange(4))
    >>> {row.estimator: row.value for row in estimate_policy("same", sample)}["ips"]
    1.0
    """
    if clip < 0:
        raise SettingError(f"clip is {clip}: give the largest weight, or 0 for the square root of the rows")
    limit = clip or math.sqrt(max(len(sample), 1))
    return [_estimate(policy, name, sample, limit, truth) for name in ESTIMATORS]


def interval_of(
    contributions: Contributions, cluster: Int64[np.ndarray, " n"], confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """Normal interval on influence values summed by cluster; NaN for fewer than two clusters."""
    _, at = np.unique(cluster, return_inverse=True)
    sums = np.bincount(at, contributions.influence)
    if len(sums) < 2 or not math.isfinite(contributions.value):
        return math.nan, math.nan
    variance = float((sums**2).sum()) * len(sums) / (len(sums) - 1)
    reach = float(scipy.stats.t.ppf((1 + confidence) / 2, len(sums) - 1)) * math.sqrt(variance) / len(cluster)
    return contributions.value - reach, contributions.value + reach


def effective_n(weight: Float64[np.ndarray, " n"]) -> float:
    """Kish's effective sample size (Σw)² / Σw²; 0 where all weights are 0. Kish, "Survey Sampling", 1965."""
    squares = float((weight**2).sum())
    return float(weight.sum()) ** 2 / squares if squares else 0.0


def _estimate(policy: str, name: str, sample: PolicySample, clip: float, truth: float) -> PolicyEstimate:
    weight = sample.weight
    found = ESTIMATORS[name](sample, clip)
    value, (low, high) = found.value, interval_of(found, sample.cluster)
    if not len(sample) or not found.weight.any():
        warnings.warn(f"{name} of {policy} is undefined: the log never does what it would do", stacklevel=3)
        value = low = high = math.nan
    return PolicyEstimate(
        policy=policy,
        estimator=name,
        value=value,
        low=low,
        high=high,
        n=len(sample),
        effective_n=effective_n(found.weight),
        max_weight=float(found.weight.max(initial=0.0)),
        mean_weight=float(weight.mean()) if len(weight) else math.nan,
        share_clipped=float((weight > clip).mean()) if len(weight) else math.nan,
        truth=truth,
    )


def _mean(terms: Float64[np.ndarray, " n"], weight: Float64[np.ndarray, " n"]) -> Contributions:
    value = float(terms.mean()) if len(terms) else math.nan
    return Contributions(value, terms - value, weight)


def _ratio(reward: Float64[np.ndarray, " n"], weight: Float64[np.ndarray, " n"]) -> Contributions:
    """Σ w r / Σ w with the influence of the delta method."""
    total = weight.sum()
    if not total:
        return Contributions(math.nan, np.zeros(len(weight)), weight)
    value = float((weight * reward).sum() / total)
    return Contributions(value, weight * (reward - value) * (len(weight) / total), weight)


def estimates_loop(sample: PolicySample, clip: float) -> dict[str, float]:
    """The readable twin of the estimators: one logged decision after the other."""
    n, weighted, clipped, total, matched, chosen, believed, corrected = len(sample), 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(n):
        weight = sample.target[i] / sample.propensity[i]
        weighted += weight * sample.reward[i]
        clipped += min(weight, clip) * sample.reward[i]
        total += weight
        matched += sample.target[i] * sample.reward[i]
        chosen += sample.target[i]
        believed += sample.expected[i]
        corrected += sample.expected[i] + weight * (sample.reward[i] - sample.predicted[i])
    return {
        "naive": matched / chosen,
        "direct": believed / n,
        "ips": weighted / n,
        "clipped_ips": clipped / n,
        "snips": weighted / total,
        "doubly_robust": corrected / n,
    }
