"""The gate: facts about a candidate, and the champion it would replace, judged against limits, one check at a time.

A release passes where every check holds. A figure that is undefined holds nothing: NaN fails. What there is no champion
to compare with is judged by absolute floors alone, so that a first release can pass.
"""

import dataclasses
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recsys_pipeline.core.errors import ArtifactError
from recsys_pipeline.core.learning.model_files import read_json
from recsys_pipeline.core.reports.accuracy.significance import ALPHA
from recsys_pipeline.core.serving.gate_limits import GateLimits

DECISION, LATENCY = "decision.json", "latency.json"


@dataclass(frozen=True)
class Gap:
    """How much better the candidate is than something else on the same users: mean, 95% interval, p-value, users."""

    value: float
    low: float
    high: float
    p_value: float
    n: int


@dataclass(frozen=True)
class Shift:
    """How far a feature of lists or vectors lies from the champion's."""

    feature: str
    psi: float
    threshold: float
    """What chance alone may give."""


@dataclass(frozen=True)
class GateFigures:
    """What is measured of a release for the gate; NaN is undefined."""

    day: str
    ndcg: float
    """NDCG@10 on all test rows, as the ranking report has it."""
    ndcg_low: float
    ndcg_high: float
    n_users: int
    coverage: float
    """Distinct items in the sampled lists over as many as they could show."""
    recall: float
    n_not_finite: int
    """Users and items whose vector is not finite."""
    item_norm_median: float
    item_norm_max: float
    user_norm_median: float
    full_lists: float
    empty_lists: float
    events_share: float
    """The most active user's share of the day's events, impressions left out."""
    events_of_user: int
    test_share: float
    test_rows_of_user: int
    latency_p99_ms: float = math.nan
    """In milliseconds of the reference machine; measured, so it differs from run to run, and is stored apart."""
    versus_popularity: Gap | None = None
    versus_champion: Gap | None = None
    one_list: float = math.nan
    """What `coverage` would be if all the lists were one and the same."""
    rows_left_out: int = 0
    """Test rows that the champion's fit has seen."""
    best_ndcg: float = math.nan
    """The best promoted within `decay_days`; NaN where there is none."""
    best_day: str = ""
    shifts: tuple[Shift, ...] = ()
    drifted: tuple[str, ...] = ()
    """Features of the day's data that drifted: these warn and do not block."""


@dataclass(frozen=True)
class Check:
    """One row of a decision."""

    name: str
    passed: bool
    value: float
    bound: float
    words: str


@dataclass(frozen=True)
class Decision:
    """Whether a release may be served, why, and the figures behind it."""

    day: str
    champion: str
    """Day of the release that it was compared with; empty for a first one."""
    checks: tuple[Check, ...]
    figures: GateFigures
    warnings: tuple[str, ...] = field(default=())

    @property
    def promoted(self) -> bool:
        """Whether every check holds."""
        return all(check.passed for check in self.checks)

    @property
    def why_not(self) -> str:
        """The words of the checks that failed; empty where all hold."""
        return "; ".join(check.words for check in self.checks if not check.passed)

    def check(self, name: str) -> Check:
        """One check by name."""
        return next(check for check in self.checks if check.name == name)

    def save(self, directory: Path) -> None:
        """Write `decision.json`, and beside it `latency.json` with what was measured.

        The first is the same for the same inputs, unless lists were too slow: that is part of it, so that a new
        measurement is another decision.
        """
        document = dataclasses.asdict(self)
        slow = [row for row in document["checks"] if row["name"] == lists_are_fast.__name__]
        document["too_slow"] = [row for row in slow if not row["passed"]]
        document["checks"] = [row for row in document["checks"] if row not in slow]
        latency = {"p99_ms": document["figures"].pop("latency_p99_ms"), "checks": slow}
        for name, content in ((DECISION, document), (LATENCY, latency)):
            (directory / name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, directory: Path) -> "Decision":
        """Read back what `save` wrote; raises `ArtifactError` where a file is missing or of another version."""
        document, latency = read_json(directory / DECISION), read_json(directory / LATENCY)
        try:
            figures = document.pop("figures")
            gaps: dict[str, Any] = {name: figures.pop(name) for name in ("versus_popularity", "versus_champion")}
            gaps = {name: Gap(**row) if row else None for name, row in gaps.items()}
            shifts = tuple(Shift(**row) for row in figures.pop("shifts"))
            drifted, p99 = tuple(figures.pop("drifted")), latency["p99_ms"]
            found = GateFigures(**figures, **gaps, shifts=shifts, drifted=drifted, latency_p99_ms=p99)
            rows = {row["name"]: Check(**row) for row in [*document.pop("checks"), *latency["checks"]]}
            checks = tuple(rows[check.__name__] for check in CHECKS)
            return cls(document["day"], document["champion"], checks, found, tuple(document["warnings"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise ArtifactError(f"{directory / DECISION} is of another version ({error}): decide again") from error


def judge(candidate: GateFigures, champion: GateFigures | None, limits: GateLimits) -> Decision:
    """Hold a candidate's figures against the limits and the champion's; the figures of both, and every check, in words.

    `champion` are the figures of the decision by which it was promoted. The comparison on the same test rows is part of
    the candidate's figures.
    """
    checks = tuple(check(candidate, champion, limits) for check in CHECKS)
    warnings = [f"{feature} of the day's data drifted" for feature in candidate.drifted]
    return Decision(candidate.day, champion.day if champion else "", checks, candidate, tuple(warnings))


def not_worse_than_champion(candidate: GateFigures, champion: GateFigures | None, limits: GateLimits) -> Check:
    """On the same test rows NDCG@10 is not significantly below the champion's."""
    gap, name = candidate.versus_champion, not_worse_than_champion.__name__
    if gap is None:
        words = "not compared with the champion: decide again" if champion else "there is no champion to compare with"
        return Check(name, champion is None, math.nan, -limits.tolerance, words)
    if math.isnan(gap.high):
        words = f"no test row is left to compare on; {candidate.rows_left_out} were left out, which its fit has seen"
        return Check(name, False, math.nan, -limits.tolerance, words)
    words = (
        f"NDCG@10 {gap.value:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}] against the champion on {gap.n} users, "
        f"p = {gap.p_value:.3f}; {candidate.rows_left_out} test rows left out, which its fit has seen"
    )
    return Check(name, not _is_below(gap, -limits.tolerance), gap.high, -limits.tolerance, words)


def not_worse_than_popularity(candidate: GateFigures, _: GateFigures | None, __: GateLimits) -> Check:
    """On the same test rows NDCG@10 is not significantly below that of offering everyone what is popular."""
    gap, name = candidate.versus_popularity, not_worse_than_popularity.__name__
    if gap is None or math.isnan(gap.high):
        return Check(name, False, math.nan, 0.0, "no user has a test row: nothing is known of the candidate")
    words = f"NDCG@10 {gap.value:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}] against popularity, p = {gap.p_value:.3f}"
    return Check(name, not _is_below(gap, 0.0), gap.high, 0.0, words)


def _is_below(gap: Gap, bound: float) -> bool:
    """Whether the gap lies below the bound by more than chance.

    A bootstrap interval of a few users is too narrow (of one user it is a point), and the randomisation test is exact:
    of five users or fewer no difference is significant. So both must say it.
    """
    return gap.high < bound and gap.p_value < ALPHA


def near_the_best(candidate: GateFigures, _: GateFigures | None, limits: GateLimits) -> Check:
    """NDCG@10 is not surely far below the best that was promoted in the last weeks."""
    bound, high = limits.min_share_of_best * candidate.best_ndcg, candidate.ndcg_high
    words = f"NDCG@10 {candidate.ndcg:.4f} [{candidate.ndcg_low:.4f}, {high:.4f}]"
    if math.isnan(bound):
        return Check(near_the_best.__name__, True, high, bound, f"{words}; nothing was promoted before it")
    words += f" against {candidate.best_ndcg:.4f} of {candidate.best_day}; its interval must reach {bound:.4f}"
    return Check(near_the_best.__name__, high >= bound, high, bound, words)


def covers_the_catalogue(candidate: GateFigures, champion: GateFigures | None, limits: GateLimits) -> Check:
    """Lists of different users differ: together they show a fair share of what they could."""
    floor = min(limits.min_lists_shown * candidate.one_list, 0.5)
    bound = max(floor, limits.min_coverage_of_champion * (champion.coverage if champion else 0.0))
    words = f"sampled lists show {candidate.coverage:.3f} of what they could, bound {bound:.3f}"
    return Check(covers_the_catalogue.__name__, candidate.coverage >= bound, candidate.coverage, bound, words)


def lists_near_the_champions(candidate: GateFigures, _: GateFigures | None, limits: GateLimits) -> Check:
    """No feature of lists and vectors lies far from the champion's."""
    name = lists_near_the_champions.__name__
    bounds = {row: max(limits.max_list_psi, row.threshold) for row in candidate.shifts}
    worst = max(bounds, key=lambda row: row.psi - bounds[row], default=None)
    if worst is None:
        return Check(name, True, math.nan, limits.max_list_psi, "there are no priors of a champion to compare with")
    bound = bounds[worst]
    words = f"largest shift: {worst.feature.replace('_', ' ')}, PSI {worst.psi:.2f}, bound {bound:.2f}"
    return Check(name, worst.psi <= bound, worst.psi, bound, words)


def index_finds_neighbours(candidate: GateFigures, _: GateFigures | None, limits: GateLimits) -> Check:
    """The release's own index finds its own vectors."""
    words = f"recall {candidate.recall:.3f} on held-out users, bound {limits.min_recall:.3f}"
    passed = candidate.recall >= limits.min_recall
    return Check(index_finds_neighbours.__name__, passed, candidate.recall, limits.min_recall, words)


def vectors_are_sane(candidate: GateFigures, champion: GateFigures | None, limits: GateLimits) -> Check:
    """All vectors are finite; no item's is far longer than others; their length is like the champion's."""
    name = vectors_are_sane.__name__
    if candidate.n_not_finite:
        words = f"{candidate.n_not_finite} vectors are not finite"
        return Check(name, False, float(candidate.n_not_finite), 0.0, words)
    ratio = candidate.item_norm_max / candidate.item_norm_median if candidate.item_norm_median > 0 else math.inf
    words = f"the longest item vector has {ratio:.1f} times the median norm, bound {limits.max_norm_ratio:g}"
    changes = []
    if champion is not None:
        pairs = (("item", candidate.item_norm_median, champion.item_norm_median),)
        pairs += (("user", candidate.user_norm_median, champion.user_norm_median),)
        changes = [(max(now / then, then / now), what) for what, now, then in pairs if now > 0 and then > 0]
    change, what = max(changes, default=(1.0, "item"))
    if change > limits.max_norm_change:
        return Check(name, False, change, limits.max_norm_change, f"the median {what} norm changed {change:.1f} times")
    return Check(name, ratio <= limits.max_norm_ratio, ratio, limits.max_norm_ratio, words)


def lists_are_fast(candidate: GateFigures, _: GateFigures | None, limits: GateLimits) -> Check:
    """One user's list is made in time."""
    found, bound = candidate.latency_p99_ms, limits.max_latency_ms
    words = f"p99 {found:.2f} ms a list on the reference machine, bound {bound:g} ms"
    passed = found <= bound
    words += "" if passed else "; the next run times them anew"
    return Check(lists_are_fast.__name__, passed, found, bound, words)


def lists_are_full(candidate: GateFigures, _: GateFigures | None, limits: GateLimits) -> Check:
    """Hardly any sampled user has an empty list, and nearly all have a full one."""
    passed = candidate.empty_lists <= limits.max_empty_lists and candidate.full_lists >= limits.min_full_lists
    words = (
        f"{candidate.full_lists:.1%} of sampled lists are full (bound {limits.min_full_lists:.1%}), "
        f"{candidate.empty_lists:.1%} empty (bound {limits.max_empty_lists:.1%})"
    )
    return Check(lists_are_full.__name__, passed, candidate.full_lists, limits.min_full_lists, words)


def no_user_dominates(candidate: GateFigures, _: GateFigures | None, limits: GateLimits) -> Check:
    """The day is not one user's: neither its events nor the test rows by which models are judged."""
    shares = (
        (candidate.events_share, candidate.events_of_user, "the day's events"),
        (candidate.test_share, candidate.test_rows_of_user, "the test rows"),
    )
    share, rows, what = max(shares, key=lambda row: (row[1] >= limits.dominant_rows, row[0]))
    passed = share <= limits.max_user_share or rows < limits.dominant_rows
    words = f"one user has {share:.1%} of {what} ({rows} rows), bound {limits.max_user_share:.0%}"
    return Check(no_user_dominates.__name__, passed, share, limits.max_user_share, words)


GateCheck = Callable[[GateFigures, GateFigures | None, GateLimits], Check]
CHECKS: tuple[GateCheck, ...] = (
    not_worse_than_champion,
    not_worse_than_popularity,
    near_the_best,
    covers_the_catalogue,
    lists_near_the_champions,
    index_finds_neighbours,
    vectors_are_sane,
    lists_are_fast,
    lists_are_full,
    no_user_dominates,
)
