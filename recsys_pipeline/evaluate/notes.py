"""What is to be known about the figures of an evaluation: who was left out, of whom nothing is known, what is tied."""

from collections.abc import Sequence

import numpy as np

from recsys_pipeline.core.folds.protocols import EvaluationSplit
from recsys_pipeline.core.reports.accuracy.ranking_result import RankingResult

MENTIONED = 0.005
"""Share of tied places from which on they are said: what rounds to 1%. The JSON holds every share."""


def result_notes(results: Sequence[RankingResult], split: EvaluationSplit, k: int) -> list[str]:
    """Sentences for people, without a full stop; `k` is the list length that tied places are told of."""
    first, notes = results[0], []
    if first.n_seen_again:
        notes.append(f"{first.n_seen_again:,} test pairs left out: train holds them, and what is seen is not offered")
    if first.n_users < first.n_test_users:
        n_without = first.n_test_users - first.n_users
        notes.append(f"{n_without:,} of {first.n_test_users:,} test users have nothing to find")
    tested = np.unique(split.test.user)
    unknown = ~np.isin(tested, split.known.user)
    if unknown.any():
        notes.append(f"{int(unknown.sum()):,} of {len(tested):,} test users are not in train")
    for result in results:
        if result.n_silent:
            told = f"{result.n_silent:,} of {result.n_users:,} users (all scores equal)"
            notes.append(f"{result.model} says nothing of {told}")
    return [*notes, *_tied(results, k)]


def _tied(results: Sequence[RankingResult], k: int) -> list[str]:
    shares = {result.model: float(result.tied_places[result.ks.index(k)]) for result in results}
    told = [f"{share:.0%} of {model}'s" for model, share in shares.items() if share >= MENTIONED]
    if not told:
        return []
    return [f"equal scores fill {', '.join(told)} first {k} places; figures are means over all orders of them"]


def leaders(results: Sequence[RankingResult], metric: str, k: int) -> list[RankingResult]:
    """The models with the highest mean: several where nothing but rounding is between them."""
    best = max(result.mean(metric, k) for result in results)
    return [result for result in results if result.mean(metric, k) >= best - 1e-12]
