"""The checks of the gate: each holds one kind of figure against its limit, and says in words what it found.

Three kinds: what users would notice (accuracy, empty lists, a catalogue that is half gone) is judged always; distance
from the champion's lists is no fault of a model that is clearly better on the same users; and the scale of scores and
vectors is compared only where both are fits of the same settings, because other settings have another scale.
"""

import math
from collections.abc import Callable

import scipy

from recsys_pipeline.core.reports.accuracy.significance import ALPHA
from recsys_pipeline.core.serving.gate_limits import GateLimits
from recsys_pipeline.core.serving.gate_record import Check, Gap, GateFigures, Likeness, Scale

NO_CHAMPION = "there is no champion to compare with"
BETTER = "; it is clearly better on the same users, so the distance does not count"


def is_clearly_better(candidate: GateFigures, limits: GateLimits) -> bool:
    """Whether the whole interval of the gap to the champion lies above 0, on enough users, and by more than chance."""
    gap = candidate.versus_champion
    return gap is not None and gap.n >= limits.min_users_clear and gap.low > 0 and gap.p_value < ALPHA


# -- accuracy ---------------------------------------------------------------------------------------------------------


def not_worse_than_champion(candidate: GateFigures, champion: GateFigures | None, limits: GateLimits) -> Check:
    """On the same test rows NDCG@10 is not significantly below the champion's."""
    gap, name = candidate.versus_champion, not_worse_than_champion.__name__
    if gap is None:
        words = "not compared with the champion: decide again" if champion else NO_CHAMPION
        return Check(name, champion is None, math.nan, -limits.tolerance, words)
    if math.isnan(gap.high):
        words = f"no test row is left to compare on; {candidate.rows_left_out} were left out, which its fit has seen"
        return Check(name, False, math.nan, -limits.tolerance, words)
    words = (
        f"NDCG@10 {_spoken(gap)} against the champion on {gap.n} users, "
        f"p = {gap.p_value:.3f}; {candidate.rows_left_out} test rows left out, which its fit has seen"
    )
    return Check(name, not _is_below(gap, -limits.tolerance, limits), gap.high, -limits.tolerance, words)


def not_worse_than_popularity(candidate: GateFigures, _: GateFigures | None, limits: GateLimits) -> Check:
    """On the same test rows NDCG@10 is not significantly below that of offering everyone what is popular."""
    gap, name = candidate.versus_popularity, not_worse_than_popularity.__name__
    if gap is None or math.isnan(gap.high):
        return Check(name, False, math.nan, 0.0, "no user has a test row: nothing is known of the candidate")
    words = f"NDCG@10 {_spoken(gap)} against popularity, p = {gap.p_value:.3f}"
    return Check(name, not _is_below(gap, 0.0, limits), gap.high, 0.0, words)


def _spoken(gap: Gap) -> str:
    return f"{gap.value:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}]"


def _is_below(gap: Gap, bound: float, limits: GateLimits) -> bool:
    """Whether the gap lies below the bound by more than chance.

    A bootstrap interval of a few users is too narrow (of one user it is a point), and the randomisation test is exact:
    of five users or fewer no difference is significant. So both must say it.
    """
    return gap.high < bound and gap.p_value < limits.max_p_value


def near_the_best(candidate: GateFigures, _: GateFigures | None, limits: GateLimits) -> Check:
    """On the same test rows NDCG@10 is not surely far below the best that was promoted in the last weeks.

    Figures of two days are of other rows, and those of a continued model leave out what its chain was fitted on, which
    is easy: they halved from a day of a full fit to the next.
    """
    gap, name = candidate.versus_best, near_the_best.__name__
    bound = (limits.min_share_of_best - 1) * candidate.best_ndcg
    if gap is None:
        gone = f"the release of {candidate.best_day}, the best before it, is gone: not compared"
        return Check(name, True, math.nan, bound, gone if candidate.best_day else "nothing was promoted before it")
    if math.isnan(gap.high):
        words = f"no test row is left that the release of {candidate.best_day}, the best before it, has not seen"
        return Check(name, False, math.nan, bound, words)
    words = (
        f"NDCG@10 {_spoken(gap)} against the release of {candidate.best_day}, the best before it, which has "
        f"{candidate.best_ndcg:.4f} on these rows; the interval must reach {bound:+.4f}"
    )
    return Check(name, not _is_below(gap, bound, limits), gap.high, bound, words)


# -- what users see ---------------------------------------------------------------------------------------------------


def covers_the_catalogue(candidate: GateFigures, champion: GateFigures | None, limits: GateLimits) -> Check:
    """Lists of different users differ: together they show a fair share of what they could."""
    floor = min(limits.min_lists_shown * candidate.one_list, 0.5)
    usual = limits.min_coverage_of_champion * (champion.coverage if champion else 0.0)
    bound = max(floor, usual)
    words = f"sampled lists show {candidate.coverage:.3f} of what they could, bound {bound:.3f}"
    if floor <= candidate.coverage < usual and is_clearly_better(candidate, limits):
        bound, words = floor, words + BETTER
    return Check(covers_the_catalogue.__name__, candidate.coverage >= bound, candidate.coverage, bound, words)


def lists_are_full(candidate: GateFigures, _: GateFigures | None, limits: GateLimits) -> Check:
    """Lists are as long as what is on sale, less what each user knows, allows; and hardly anybody has an empty one."""
    name, likeness = lists_are_full.__name__, candidate.likeness
    empty = _share_by_chance(max(limits.max_empty_lists, likeness.champion_empty if likeness else 0.0), candidate)
    words = (
        f"{candidate.full_lists:.1%} of sampled lists are as long as they can be (bound {limits.min_full_lists:.1%}), "
        f"{candidate.empty_lists:.1%} empty (bound {empty:.1%})"
    )
    passed = candidate.empty_lists <= empty and candidate.full_lists >= limits.min_full_lists
    if likeness is not None and likeness.n_users:
        filled = limits.min_filled_of_champion * likeness.champion_filled
        passed = passed and likeness.filled >= filled
        words += f"; {likeness.filled:.1%} of places are filled, {likeness.champion_filled:.1%} by the champion"
    return Check(name, passed, candidate.full_lists, limits.min_full_lists, words)


def _share_by_chance(limit: float, candidate: GateFigures) -> float:
    """The share that chance still gives so few users, one time in a hundred, where the true one is at the limit."""
    n = candidate.sampled_users
    return max(limit, float(scipy.stats.binom.isf(0.01, n, min(limit, 1.0))) / n) if n else limit


def catalogue_is_whole(candidate: GateFigures, champion: GateFigures | None, limits: GateLimits) -> Check:
    """About as many items are on sale as in the champion's release."""
    name, likeness = catalogue_is_whole.__name__, candidate.likeness
    if likeness is None:
        return Check(name, champion is None, math.nan, limits.min_on_sale_of_champion, _not_compared(champion))
    share = likeness.on_sale / likeness.champion_on_sale if likeness.champion_on_sale else math.inf
    words = f"{likeness.on_sale:,} items are on sale, {likeness.champion_on_sale:,} in the champion's release"
    words += f" ({share:.0%}, bound {limits.min_on_sale_of_champion:.0%})"
    return Check(name, share >= limits.min_on_sale_of_champion, share, limits.min_on_sale_of_champion, words)


def _not_compared(champion: GateFigures | None) -> str:
    return "not compared with the champion: decide again" if champion else NO_CHAMPION


def lists_near_the_champions(candidate: GateFigures, champion: GateFigures | None, limits: GateLimits) -> Check:
    """Lists go on from the user's own and have about the champion's categories and prices, unless clearly better."""
    name, likeness = lists_near_the_champions.__name__, candidate.likeness
    if likeness is None:
        return Check(name, champion is None, math.nan, limits.max_list_psi, _not_compared(champion))
    bounds = {row: max(limits.max_list_psi, row.threshold) for row in likeness.shifts}
    worst = max(bounds, key=lambda row: row.psi - bounds[row], default=None)
    psi, bound = (worst.psi, bounds[worst]) if worst else (math.nan, limits.max_list_psi)
    words = f"largest shift: {worst.feature.replace('_', ' ')}, PSI {psi:.2f}, bound {bound:.2f}; " if worst else ""
    own, said = _are_own(likeness, limits)
    far = not own or (worst is not None and not psi <= bound)
    excused = far and is_clearly_better(candidate, limits)
    return Check(name, not far or excused, psi, bound, words + said + (BETTER if excused else ""))


def _are_own(likeness: Likeness, limits: GateLimits) -> tuple[bool, str]:
    """Whether users keep half of their list, or at least more of it than of another user's.

    Lists that the champion gives to everybody alike are nobody's own, so less is asked for where they are alike.
    """
    gap, bound = likeness.nearer, limits.min_nearer * (1 - likeness.alike)
    if math.isnan(gap.value):
        return True, "too few users are known to both releases to compare lists"
    words = f"users keep {likeness.overlap:.0%} of their list, and {likeness.overlap - gap.value:.0%} of another user's"
    return likeness.overlap >= limits.min_overlap or gap.high >= bound, words


# -- vectors ----------------------------------------------------------------------------------------------------------


def scale_is_the_settings(candidate: GateFigures, champion: GateFigures | None, limits: GateLimits) -> Check:
    """Of equal settings, scores and vectors have the champion's scale; of others, vectors have not fallen together.

    This does not give way to a better model: of equal settings a better fit has no other scale.
    """
    name, likeness = scale_is_the_settings.__name__, candidate.likeness
    if likeness is None:
        return Check(name, champion is None, math.nan, limits.max_scale_change, _not_compared(champion))
    if likeness.other_settings:
        return _not_collapsed(candidate, likeness, limits)
    bound = limits.max_scale_change * math.sqrt(likeness.growth)
    change, worst = max(((_factor(row), row.feature) for row in likeness.scales), default=(math.nan, ""))
    if not worst:
        return Check(name, True, math.nan, bound, "equal settings; nothing that both have can be compared")
    words = f"equal settings; largest change of scale: {worst.replace('_', ' ')}, {change:.2f} times, bound {bound:.2f}"
    return Check(name, change <= bound, change, bound, words)


def _factor(row: Scale) -> float:
    """By how many times a median changed, up or down; infinite where it vanished, came from nothing or is NaN."""
    if row.now == row.then:
        return 1.0
    return max(row.now / row.then, row.then / row.now) if row.now > 0 and row.then > 0 else math.inf


def _not_collapsed(candidate: GateFigures, likeness: Likeness, limits: GateLimits) -> Check:
    """What holds whatever the settings: items still point in different directions, if they did."""
    name = scale_is_the_settings.__name__
    spread = next((row for row in likeness.scales if row.feature == "item_spread"), Scale("item_spread", 1.0, 1.0))
    share = spread.now / spread.then if spread.then > 0 else math.inf
    listed = ", ".join(likeness.other_settings)
    words = f"other settings than the champion's ({listed}), so scores and norms are not compared; items spread over "
    words += f"{spread.now:.2f} (cosine distance), the champion's over {spread.then:.2f}"
    near = share >= limits.min_spread_of_champion
    excused = not near and is_clearly_better(candidate, limits)
    return Check(name, near or excused, share, limits.min_spread_of_champion, words + (BETTER if excused else ""))


def serves_the_judged_model(candidate: GateFigures, _: GateFigures | None, limits: GateLimits) -> Check:
    """Served vectors are those of the model that was judged, users folded in on what is known of them."""
    found, bound = candidate.unlike_judged, limits.max_unlike_judged
    words = f"served vectors differ from the judged model's by {found:.2g} of their length at most, bound {bound:g}"
    return Check(serves_the_judged_model.__name__, found <= bound, found, bound, words)


def index_finds_neighbours(candidate: GateFigures, _: GateFigures | None, limits: GateLimits) -> Check:
    """The release's own index finds its own vectors."""
    words = f"recall {candidate.recall:.3f} on held-out users, bound {limits.min_recall:.3f}"
    passed = candidate.recall >= limits.min_recall
    return Check(index_finds_neighbours.__name__, passed, candidate.recall, limits.min_recall, words)


def vectors_are_sane(candidate: GateFigures, _: GateFigures | None, limits: GateLimits) -> Check:
    """All vectors are finite, and no item's is far longer than others."""
    name = vectors_are_sane.__name__
    if candidate.n_not_finite:
        words = f"{candidate.n_not_finite} vectors are not finite"
        return Check(name, False, float(candidate.n_not_finite), 0.0, words)
    ratio = candidate.item_norm_max / candidate.item_norm_median if candidate.item_norm_median > 0 else math.inf
    words = f"the longest item vector has {ratio:.1f} times the median norm, bound {limits.max_norm_ratio:g}"
    return Check(name, ratio <= limits.max_norm_ratio, ratio, limits.max_norm_ratio, words)


# -- machine and day --------------------------------------------------------------------------------------------------


def lists_are_fast(candidate: GateFigures, _: GateFigures | None, limits: GateLimits) -> Check:
    """One user's list is made in time."""
    found, bound = candidate.latency_p99_ms, limits.max_latency_ms
    words = f"p99 {found:.2f} ms a list on the reference machine, bound {bound:g} ms"
    passed = found <= bound
    words += "" if passed else "; the next run times them anew"
    return Check(lists_are_fast.__name__, passed, found, bound, words)


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
    lists_are_full,
    catalogue_is_whole,
    lists_near_the_champions,
    scale_is_the_settings,
    serves_the_judged_model,
    index_finds_neighbours,
    vectors_are_sane,
    lists_are_fast,
    no_user_dominates,
)
