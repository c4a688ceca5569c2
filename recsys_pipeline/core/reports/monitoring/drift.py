"""Drift: which features of a profile have left the reference by more than chance and by more than a little.

A breach needs both: a PSI above what chance gives at the set rate of false alarms, and, less the mean of chance, above
the limit. So a small day does not alarm for being small, and a large one not for a difference that is sure and
slight. A share is compared as a distribution over two labels. What is measured is in `divergence.py`.

Figures of the model itself have a scale that its settings decide, and are narrow: norms of a small shop that went from
1.211 to 1.203 in the median had a PSI of .72. They are shown, and not compared, where the model of the day has other
settings than the reference's; and where it has the same, they must also have moved by a share of their size.
"""

import dataclasses
import json
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy

from recsys_pipeline.core.configs import check_settings, setting
from recsys_pipeline.core.files import read_json
from recsys_pipeline.core.reports.accuracy.ranking_report import load_records, save_records
from recsys_pipeline.core.reports.monitoring.divergence import Binned, binned, kl, psi
from recsys_pipeline.core.reports.monitoring.priors import EMPTY_LISTS, Distribution, Profile, Share

YES, NO = "yes", "no"
SCALED = ("score", "user_norm", "item_norm", "neighbor_distance")
OF_THE_MODEL = (*SCALED, "recommended_category", "recommended_price")
"""Features that change with the settings of the model, though neither users nor catalogue do."""
NOT_COMPARED = "other settings, not compared"


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
    move_limit: float = setting(
        0.3,
        "How far the values of a figure of the model must have moved as well: their mean distance (Wasserstein's) over "
        "their median.",
        ge=0,
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
    compared: bool = True
    """False of figures of a model whose settings are not the reference's: these are shown, and never a breach."""

    @property
    def excess(self) -> float:
        """Value over threshold, by which rows are ordered; infinite where a breach has no value, and below all others
        where nothing was compared."""
        if not self.compared:
            return -1.0
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

    @property
    def not_compared(self) -> list[Drift]:
        """Rows of a model with other settings than the reference's."""
        return [row for row in self.rows if not row.compared]

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


def drift_report(
    reference: Profile | None, now: Profile, limits: DriftLimits, name: str = "", *, same_settings: bool = True
) -> DriftReport:
    """Every feature of both profiles against one another, worst first; `name` says in words what the reference is, and
    `same_settings` whether the models of both have the same (`Profile.has_settings_of`).

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
            other = feature in OF_THE_MODEL and not same_settings
            rows.append(dataclasses.replace(row, compared=False, breached=False) if other else row)
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
    breached = value > threshold and (feature not in SCALED or _moved(before, now) > limits.move_limit)
    row = Drift(
        feature, "psi", value, kl(found.now, found.reference), found.chance.mean, threshold, len(before), len(now),
        *found.effective, breached=breached, change=_change(before, now, found),
    )  # fmt: skip
    shares = (counts / counts.sum() for counts in (found.reference, found.now))
    return row, [Bin(feature, *part) for part in zip(found.labels, *(side.tolist() for side in shares), strict=True)]


def _moved(before: Distribution, now: Distribution) -> float:
    """By how much of their median values moved on average; infinite from a median of 0."""
    size = float(np.median(np.abs(before.values)))
    return float(scipy.stats.wasserstein_distance(before.values, now.values)) / size if size else math.inf


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
    threshold = float(scipy.stats.binom.isf(alpha, share.total, limit)) / share.total if share.total else math.nan
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
