"""Two releases beside each other: which ranks what users went on to choose better, and how far their lists differ."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, Integer

from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline.core.reports.accuracy.ranking import evaluate_ranking
from recsys_pipeline.core.reports.accuracy.ranking_report import PRIMARY_K, PRIMARY_METRIC
from recsys_pipeline.core.reports.accuracy.ranking_result import RankingResult
from recsys_pipeline.core.reports.accuracy.resampling import Difference, paired_differences
from recsys_pipeline.core.serving.gate_figures import Numbers, as_it_would_serve, without_fitted
from recsys_pipeline.core.serving.recommend import recommend
from recsys_pipeline.core.serving.release import Release

SAMPLED_USERS, SHOWN_USERS = 500, 6


@dataclass(frozen=True)
class ListPair:
    """One user's lists."""

    user: str
    own: tuple[str, ...]
    other: tuple[str, ...]
    chosen: frozenset[str] = frozenset()
    """What the user went on to choose in the test rows."""

    @property
    def overlap(self) -> float:
        """Share of places of the longer list whose items both have, in whatever order."""
        longer = max(len(self.own), len(self.other))
        return len(set(self.own) & set(self.other)) / longer if longer else 1.0


@dataclass(frozen=True)
class Accuracy:
    """Both releases' figures on one metric and the paired difference of the other from the own."""

    own: float
    other: float
    difference: Difference


@dataclass(frozen=True)
class Comparison:
    """An other release against a day's own one."""

    accuracy: tuple[Accuracy, ...]
    """By metric, on the same users and test rows; empty where no row is left."""
    test_rows: int
    rows_left_out: int
    """Test rows that a model of either was fitted on."""
    users: int
    """Users whom both know and whose lists were drawn."""
    coverage: tuple[float, float]
    """Distinct items in those lists, over the items on sale: own and other."""
    changed: float
    """Share of the lists that are not the same, order included."""
    overlap: float
    """Mean share of items that both lists of a user have."""
    shown: tuple[ListPair, ...]
    """From the most different pair of lists to the most alike."""

    @property
    def primary(self) -> Accuracy | None:
        """The figure by which releases are judged."""
        wanted = (PRIMARY_METRIC, PRIMARY_K)
        return next((row for row in self.accuracy if (row.difference.metric, row.difference.k) == wanted), None)


def compare(
    own: Release, other: Release, known: Ratings, test: Ratings, trained: Sequence[Ratings], seed: int
) -> Comparison:
    """Judge both on test rows that neither was fitted on, and draw lists of users whom both know.

    `known` and `test` are of the own release's fold, `trained` what else a model of either was fitted on, numbered as
    in the own release. Each plays as it would serve today: its items, and users folded in on `known`.
    """
    left, left_out = _unseen(own, other, test, trained)
    accuracy = _accuracy(own, other, known, left, seed) if len(left) else ()
    pairs = _lists(own, other, seed)
    n = max(len(pairs), 1)
    shares = [len({item for pair in pairs for item in side(pair)}) for side in (lambda p: p.own, lambda p: p.other)]
    return Comparison(
        accuracy=accuracy,
        test_rows=len(left),
        rows_left_out=left_out,
        users=len(pairs),
        coverage=(shares[0] / max(len(own.on_sale_rows), 1), shares[1] / max(len(other.on_sale_rows), 1)),
        changed=sum(pair.own != pair.other for pair in pairs) / n,
        overlap=sum(pair.overlap for pair in pairs) / n,
        shown=tuple(_with_choices(pair, own, test) for pair in _spread(pairs, SHOWN_USERS)),
    )


def _unseen(own: Release, other: Release, test: Ratings, trained: Sequence[Ratings]) -> tuple[Ratings, int]:
    """The test rows that no fit has seen, and how many that leaves out."""
    left = test
    for release in (own, other):
        left, _ = without_fitted(left, release, Numbers.of(release, own))
    for rows in trained:
        left = left.take(~np.isin(_pairs(left.user, left.item), _pairs(rows.user, rows.item)))
    return left, len(test) - len(left)


def _pairs(user: Integer[np.ndarray, " rows"], item: Integer[np.ndarray, " rows"]) -> Int64[np.ndarray, " rows"]:
    return user.astype(np.int64) << 32 | item


def _accuracy(own: Release, other: Release, known: Ratings, test: Ratings, seed: int) -> tuple[Accuracy, ...]:
    one, two = (_ranked(release, own, known, test) for release in (own, other))
    return tuple(
        Accuracy(one.mean(row.metric, row.k), two.mean(row.metric, row.k), row)
        for row in paired_differences(two, one, seed)
    )


def _ranked(release: Release, own: Release, known: Ratings, test: Ratings) -> RankingResult:
    model = as_it_would_serve(release, known, Numbers.of(release, own))
    return evaluate_ranking(model, known, test, (PRIMARY_K,))


def _lists(own: Release, other: Release, seed: int) -> list[ListPair]:
    rows = np.sort(np.random.default_rng(seed).permutation(own.n_users)[:SAMPLED_USERS])
    ids = own.users.ids(rows).to_pylist()
    both = [name for name, row in zip(ids, other.user_rows(ids), strict=True) if row >= 0]
    if not both:
        return []
    one, two = (recommend(release, None, both, release.config.k) for release in (own, other))
    return [ListPair(user, tuple(one.of(at)), tuple(two.of(at))) for at, user in enumerate(both)]


def _with_choices(pair: ListPair, own: Release, test: Ratings) -> ListPair:
    items = test.item[test.user == own.user_rows([pair.user])[0]]
    return dataclasses.replace(pair, chosen=frozenset(own.items.ids(items.astype(np.int64)).to_pylist()))


def _spread(pairs: Sequence[ListPair], n: int) -> list[ListPair]:
    """Pairs from the most different to the most alike, evenly between."""
    ordered = sorted(pairs, key=lambda pair: pair.overlap)
    places = np.unique(np.linspace(0, len(ordered) - 1, min(n, len(ordered))).astype(int)) if ordered else []
    return [ordered[place] for place in places]
