"""What the gate measures of a release, and what it found: plain records, as decisions store them."""

from dataclasses import dataclass
from math import nan


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
    """How far a feature of lists lies from the champion's."""

    feature: str
    psi: float
    threshold: float
    """What chance alone may give."""


@dataclass(frozen=True)
class Scale:
    """A median of scores or vectors: the candidate's and the champion's."""

    feature: str
    now: float
    then: float


@dataclass(frozen=True)
class Likeness:
    """A release beside its champion: what the same users see of both, and how both models are scaled."""

    n_users: int
    """Sampled users whom both know."""
    overlap: float
    """Mean share of the champion's list for a user that the user still gets."""
    alike: float
    """Mean share that two users' lists of the champion have in common."""
    nearer: Gap
    """Per user, that share less the share of the champion's list for somebody else."""
    shifts: tuple[Shift, ...]
    """PSI of the categories and prices in lists."""
    filled: float
    """Share of the places of these users' lists that hold an item."""
    champion_filled: float
    champion_empty: float
    """Share of these users whose list by the champion is empty."""
    on_sale: int
    champion_on_sale: int
    other_settings: tuple[str, ...]
    """Settings of the model that differ from the champion's; none where both are fits of the same settings."""
    growth: float
    """Rows of the larger fit over those of the smaller one."""
    scales: tuple[Scale, ...]


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
    full_lists: float
    """Share of sampled users whose list is as long as what they may be shown allows."""
    empty_lists: float
    events_share: float
    """The most active user's share of the day's events, impressions left out."""
    events_of_user: int
    test_share: float
    test_rows_of_user: int
    latency_p99_ms: float = nan
    """In milliseconds of the reference machine; measured, so it differs from run to run, and is stored apart."""
    versus_popularity: Gap | None = None
    versus_champion: Gap | None = None
    versus_best: Gap | None = None
    """Against the best that was promoted within `decay_days`, on the rows that neither was fitted on."""
    one_list: float = nan
    """What `coverage` would be if all the lists were one and the same."""
    rows_left_out: int = 0
    """Test rows that the champion's fit has seen."""
    best_ndcg: float = nan
    """Of that best one, on those rows."""
    best_day: str = ""
    sampled_users: int = 0
    """Users whose lists were made."""
    unlike_judged: float = nan
    """Largest relative difference between served vectors and those that the judged model gives."""
    likeness: Likeness | None = None
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
