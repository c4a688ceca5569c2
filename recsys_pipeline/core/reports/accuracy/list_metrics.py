"""The readable twin of `metrics.user_metrics`: one user, one list, plain Python, place by place."""

import itertools
import math
from collections.abc import Mapping, Sequence


def list_metrics(
    ranking: Sequence[int], relevant: Mapping[int, float], k: int, scores: Sequence[int | float] | None = None
) -> dict[str, float]:
    """Every ranking metric of one user: all candidates, best first, against relevant items and their values.

    `scores` are those of `ranking`, never rising: items with equal scores stand in any order, each order as likely,
    and every figure is its mean over them. Without scores nothing is tied. Time grows with the square of the list.

    >>> list_metrics([7, 3, 5, 9], {3: 4.0, 9: 5.0}, k=3)["recall"]
    0.5
    >>> list_metrics([7, 3, 5, 9], {3: 4.0, 9: 5.0}, k=3, scores=[1.0, 1.0, 1.0, 1.0])["recall"]
    0.75
    """
    ties = _tied(range(len(ranking)) if scores is None else scores)
    n_hits = [sum(ranking[at] in relevant for at in group) for group in ties]
    worth = [sum(max(relevant.get(ranking[at], 0.0), 0.0) for at in group) for group in ties]
    group_of = [number for number, group in enumerate(ties) for _ in group]
    hit = [n_hits[group] / len(ties[group]) for group in group_of]
    gain = [worth[group] / len(ties[group]) for group in group_of]

    # The chance that two places both hold relevant items; within a group they are drawn without replacement.
    both = [
        [hit[a] * (hit[b] if g != h else (n_hits[g] - 1) / max(len(ties[g]) - 1, 1)) for b, h in enumerate(group_of)]
        for a, g in enumerate(group_of)
    ]
    # The chance that none of the first 0, 1, … places holds one: each group draws its part of them from the others.
    nothing = [
        math.prod(
            _none_drawn(len(group), r, sum(at < n for at in group)) for group, r in zip(ties, n_hits, strict=True)
        )
        for n in range(min(k, len(ranking)) + 1)
    ]
    shown, n_relevant = min(k, len(ranking)), len(relevant)
    best_possible, others = min(n_relevant, k), len(ranking) - n_relevant
    ideal = sorted((max(value, 0.0) for value in relevant.values()), reverse=True)
    # Hits above each place, where the place itself holds no hit: the pairs that a relevant item wins there.
    wins = [sum(hit[above] - both[above][at] for above in range(at)) for at in range(len(ranking))]
    found = sum(hit[:k])
    found_squared = found + 2 * sum(both[above][at] for at in range(shown) for above in range(at))
    # (others − misses shown) · (found + relevant) / 2, multiplied out: `found` is not the same in every order.
    below = ((others - shown) * (found + n_relevant) + found_squared + found * n_relevant) / 2
    pairs = others * n_relevant
    return {
        "ndcg": _dcg(hit, k) / _dcg([1.0] * best_possible, k),
        "recall": found / n_relevant,
        "precision": found / k,
        "map": sum((hit[at] + sum(both[above][at] for above in range(at))) / (at + 1) for at in range(shown))
        / best_possible,
        "mrr": sum((nothing[at] - nothing[at + 1]) / (at + 1) for at in range(shown)),
        "hit_rate": 1 - nothing[shown],
        "arhr": sum(hit[at] / (at + 1) for at in range(shown)),
        "graded_ndcg": _dcg(gain, k) / _dcg(ideal, k) if max(ideal) > 0 else math.nan,
        "limited_auc": (sum(wins[:k]) + below) / pairs if pairs else math.nan,
        "r_precision": sum(hit[:n_relevant]) / n_relevant,
        "auc": sum(wins) / pairs if pairs else math.nan,
    }


def _tied(scores: Sequence[int | float]) -> list[list[int]]:
    """Places with equal scores, from 0, group by group."""
    return [list(group) for _, group in itertools.groupby(range(len(scores)), key=lambda at: scores[at])]


def _none_drawn(size: int, n_relevant: int, n_drawn: int) -> float:
    return math.comb(size - n_relevant, n_drawn) / math.comb(size, n_drawn)


def _dcg(gains: Sequence[float], k: int) -> float:
    return sum(gain / math.log2(place + 1) for place, gain in enumerate(gains[:k], start=1))
