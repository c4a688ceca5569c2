"""Drift: which features of a profile have left the reference by more than chance and by more than a little.

A breach needs both: a PSI above what chance gives at the set rate of false alarms, and, less the mean of chance, above
the limit. So a small day does not alarm for being small, and a large one not for a difference that is sure and
slight. A share is compared as a distribution over two labels. What is measured is in `divergence.py`.
"""

import json
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from recsys_pipeline.core.learning.model_files import read_json
from recsys_pipeline.core.reports.accuracy.ranking_report import load_records, save_records
from recsys_pipeline.core.reports.monitoring.divergence import Binned, binned, kl, psi
from recsys_pipeline.core.reports.monitoring.priors import EMPTY_LISTS, Distribution, Profile, Share
from recsys_pipeline.core.types import check_settings, setting

YES, NO = "yes", "no"


@dataclass(frozen=True)
class DriftLimits:
    """From where on a difference counts."""

    psi_limit: float = setting(
        0.25, "PSI, less what chance gives on average, above which a distribution has drifted.", gt=0
    )
    empty_list_limit: float = setting(0.01, "Share of users with an empty list that is still accepted.", ge=0, le=1)
    false_alarm_rate: float = setting(
        0.01,
        "Chance of any alarm on a day on which nothing changed; shared out among all that is compared.",
        gt=0,
        lt=1,
    )
    max_bins: int = setting(10, "Bins of a distribution of numbers, at most: quantiles of the reference.", ge=2)
    max_categories: int = setting(20, "Categories told apart, at most; the rest are one.", ge=2)

    __post_init__ = check_settings


@dataclass(frozen=True)
class Drift:
    """One feature against its reference; a row of the report."""

    feature: str
    statistic: str
    """What `value` is: "psi", or "share" where a share has a limit of its own."""
    value: float
    """NaN where a side has no values."""
    kl: float
    """KL divergence of now from the reference in nats; NaN where it is not defined."""
    by_chance: float
    """What a PSI would be on average if nothing had changed."""
    threshold: float
    n_reference: int
    n: int
    effective_n_reference: float
    effective_n: float
    """Independent values that the sample is worth."""
    breached: bool
    change: str
    """The same in words, such as `median 45 → 135`."""

    @property
    def excess(self) -> float:
        """Value over threshold, by which rows are ordered; infinite where a breach has no value."""
        if math.isnan(self.value):
            return math.inf if self.breached else 0.0
        return self.value / self.threshold if self.threshold else math.inf * self.value if self.value else 0.0


@dataclass(frozen=True)
class Bin:
    """One bin of a compared feature: its share of the reference and of now."""

    feature: str
    label: str
    reference: float
    now: float


@dataclass(frozen=True)
class DriftReport:
    """What the page, the check and the sensor read."""

    reference: str
    """What was compared with, in words; empty where there was nothing."""
    rows: list[Drift]
    """Worst first."""
    bins: list[Bin]
    absent: Mapping[str, str]
    """Distributions that could not be taken, and why."""

    @property
    def breaches(self) -> list[Drift]:
        """Rows beyond their threshold, worst first."""
        return [row for row in self.rows if row.breached]

    def save(self, directory: Path) -> None:
        """Write `drift.parquet`, `bins.parquet` and `drift.json`."""
        save_records(self.rows, directory / "drift.parquet")
        save_records(self.bins, directory / "bins.parquet")
        document = {"reference": self.reference, "absent": dict(self.absent)}
        (directory / "drift.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, directory: Path) -> "DriftReport":
        """Read what `save` wrote."""
        document = read_json(directory / "drift.json")
        rows, bins = load_records(Drift, directory / "drift.parquet"), load_records(Bin, directory / "bins.parquet")
        return cls(document["reference"], rows, bins, document["absent"])


def drift_report(reference: Profile | None, now: Profile, limits: DriftLimits, name: str = "") -> DriftReport:
    """Every feature of both profiles against one another, worst first; `name` says in words what the reference is.

    Without a reference only what has a limit of its own (empty lists) is judged. What the reference had and the day
    has not is a breach with an undefined value, and a warning; what is new is not.
    """
    earlier = reference or Profile()
    names = sorted({*now.distributions, *now.shares, *earlier.distributions, *earlier.shares})
    alpha = limits.false_alarm_rate / max(len(names), 1)
    rows, bins = [], []
    for feature in names:
        if feature == EMPTY_LISTS and feature in now.shares:
            rows.append(_against_limit(feature, now.shares[feature], limits.empty_list_limit, alpha))
        elif reference is not None:
            row, own_bins = _compared(feature, _sample(reference, feature), _sample(now, feature), limits, alpha)
            rows.append(row)
            bins += own_bins
    rows.sort(key=lambda row: -row.excess)
    return DriftReport(name if reference else "", rows, bins, now.absent)


def _sample(profile: Profile, feature: str) -> Distribution | None:
    if feature not in profile.shares:
        return profile.distributions.get(feature)
    share = profile.shares[feature]
    values = np.repeat(np.array([YES, NO], object), [share.count, share.total - share.count])
    return Distribution(values, np.arange(share.total), share.total)


def _compared(
    feature: str, before: Distribution | None, now: Distribution | None, limits: DriftLimits, alpha: float
) -> tuple[Drift, list[Bin]]:
    if before is None or now is None or not len(before) or not len(now) or before.is_labels != now.is_labels:
        return _undefined(feature, before, now), []
    found = binned(before, now, limits.max_bins, limits.max_categories)
    threshold = max(limits.psi_limit + found.chance.mean, found.chance.upper(alpha))
    value = psi(found.reference, found.now)
    row = Drift(
        feature, "psi", value, kl(found.now, found.reference), found.chance.mean, threshold, len(before), len(now),
        *found.effective, breached=value > threshold, change=_change(before, now, found),
    )  # fmt: skip
    shares = (counts / counts.sum() for counts in (found.reference, found.now))
    return row, [Bin(feature, *part) for part in zip(found.labels, *(side.tolist() for side in shares), strict=True)]


def _undefined(feature: str, before: Distribution | None, now: Distribution | None) -> Drift:
    n_before, n_now = (len(side) if side is not None else 0 for side in (before, now))
    if n_before and n_now:
        words = "numbers became labels, or labels numbers"
    else:
        words = "no values any more" if n_before else "nothing to compare with"
    warnings.warn(f"drift of {feature} is not defined ({words}): its PSI is NaN", stacklevel=4)
    nan, had_values = math.nan, n_before > 0
    return Drift(
        feature, "psi", nan, nan, nan, nan, n_before, n_now, float(n_before), float(n_now), had_values, words
    )  # fmt: skip


def _against_limit(feature: str, share: Share, limit: float, alpha: float) -> Drift:
    """A share with a limit of its own: breached where a true share at the limit would hardly ever give as many."""
    if not share.total:
        warnings.warn(f"{feature} is not defined: there was nobody to make a list for", stacklevel=3)
    threshold = float(stats.binom.isf(alpha, share.total, limit)) / share.total if share.total else math.nan
    words = f"{_percent(share.value)} of {share.total:,}" if share.total else "nobody to make a list for"
    n, above = share.total, share.value > threshold
    return Drift(feature, "share", share.value, math.nan, math.nan, threshold, 0, n, 0.0, float(n), above, words)


def _change(before: Distribution, now: Distribution, found: Binned) -> str:
    """The medians of numbers; the share of the label that changed most."""
    if not before.is_labels:
        return f"median {np.median(before.values):.4g} → {np.median(now.values):.4g}"
    shares = [counts / counts.sum() for counts in (found.reference, found.now)]
    is_share = set(found.labels) <= {YES, NO}
    if is_share and YES not in found.labels:
        return "0.0% → 0.0%"
    at = found.labels.index(YES) if is_share else int(np.abs(shares[1] - shares[0]).argmax())
    words = f"{_percent(shares[0][at])} → {_percent(shares[1][at])}"
    return words if is_share else f"{found.labels[at]} {words}"


def breach_summary(breaches: Sequence[Drift]) -> str:
    """What an alert says: each breached feature with its change and its value against the threshold."""
    return "; ".join(f"{spoken(row.feature)}: {row.change} ({figures(row)})" for row in breaches)


def figures(row: Drift) -> str:
    """The value against its threshold, as people write it."""
    if math.isnan(row.value):
        return "undefined"
    if row.statistic == "share":
        return f"limit {_percent(row.threshold)}"
    return f"PSI {row.value:.2f}, threshold {row.threshold:.2f}"


def spoken(feature: str) -> str:
    """A feature's name in words."""
    return feature.replace("_", " ")


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"
