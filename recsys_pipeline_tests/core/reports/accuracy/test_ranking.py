"""Full-ranking evaluation against a plain loop, and what it must refuse."""

import dataclasses

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Float32, Int32

from recsys_pipeline.core.errors import DataError, ModelError, SettingError
from recsys_pipeline.core.folds import Fold
from recsys_pipeline.core.hashing import mix
from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline.core.reports.accuracy.list_metrics import list_metrics
from recsys_pipeline.core.reports.accuracy.metrics import RANKING_METRICS
from recsys_pipeline.core.reports.accuracy.ranking import evaluate_ranking
from recsys_pipeline.core.reports.accuracy.ranking_kernels import Grouped, rank_rows, rank_rows_jax, tie_ranks
from recsys_pipeline.core.reports.accuracy.ranking_result import RankingResult


class TableModel:
    """Scores from a table, handed out read-only so that an evaluator which writes into them is caught."""

    def __init__(self, table: np.ndarray, predicts_values: bool = False) -> None:
        self.table = table.astype(np.float32)
        self.table.flags.writeable = False
        self.predicts_values = predicts_values

    def scores(self, users: Int32[np.ndarray, " batch"]) -> Float32[np.ndarray, "batch items"]:
        return self.table[users]


def ratings(rows: list[tuple[int, int, float]], n_users: int = 4, n_items: int = 5) -> Ratings:
    user, item, value = zip(*rows, strict=True) if rows else ((), (), ())
    return Ratings(
        np.array(user, np.int32),
        np.array(item, np.int32),
        np.array(value, np.float32),
        np.zeros(len(rows), np.int64),
        n_users,
        n_items,
    )


def plain_list(scores: np.ndarray, seen: set[int], k: int) -> list[int]:
    """Unseen items, higher score first, then by the hash of the item."""
    unseen, hashes = (
        [item for item in range(len(scores)) if item not in seen],
        mix(np.arange(len(scores), dtype=np.uint64)),
    )
    return sorted(unseen, key=lambda item: (-scores[item], int(hashes[item])))[:k]


@st.composite
def evaluations(draw: st.DrawFn) -> tuple[np.ndarray, Ratings, Ratings, Ratings]:
    """Scores full of ties (and of −0.0), and disjoint or overlapping train, validation and test rows."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scores = rng.integers(-2, 3, size=(7, 9)) * rng.choice([1.0, -1.0], size=(7, 9))

    def fold(n: int) -> Ratings:
        rows = [(int(u), int(i), float(v)) for u, i, v in zip(*rng.integers(0, [[7], [9], [6]], (3, n)), strict=True)]
        return ratings(rows, 7, 9)

    return scores, fold(25), fold(8), fold(20)


@settings(max_examples=40, deadline=None)
@given(evaluations(), st.sampled_from([None, 3.0]), st.sampled_from([1, 3, None]))
def test_equals_a_plain_loop(data: tuple, min_value: float | None, batch_users: int | None) -> None:
    scores, train, validation, test = data
    known = Fold(train, validation, test).train_and_validation
    result = evaluate_ranking(TableModel(scores), known, test, (2, 12), min_value, batch_users)
    expected_users, seen_again = [], set()
    for user in range(7):
        seen = {int(i) for fold in (train, validation) for i in fold.item[fold.user == user]}
        rows = (test.user == user) & (test.value >= (min_value or 0))
        relevant: dict[int, float] = {}
        for item, value in zip(test.item[rows].tolist(), test.value[rows].tolist(), strict=True):
            relevant[item] = max(value, relevant[item]) if item in relevant else value
        seen_again |= {(user, item) for item in relevant if item in seen}
        relevant = {item: value for item, value in relevant.items() if item not in seen}
        if not relevant:
            continue
        expected_users.append(user)
        top = plain_list(scores[user], seen, 9)
        assert result.recommended(user).tolist() == top
        row = expected_users.index(user)
        assert result.n_candidates[row] == len(top)
        own = result.rows.user == user
        assert dict(zip(result.rows.item[own].tolist(), result.rows.value[own].tolist(), strict=True)) == relevant
        unseen = np.array([scores[user, item] for item in range(9) if item not in seen])
        assert result.rows.places.above[own].tolist() == [(unseen > scores[user, i]).sum() for i in sorted(relevant)]
        assert result.rows.places.tied[own].tolist() == [(unseen == scores[user, i]).sum() for i in sorted(relevant)]
        for k in (2, 12):
            for name, value in list_metrics(top, relevant, k, scores[user, top].tolist()).items():
                at = result.columns.index((name, k if RANKING_METRICS[name].has_cutoff else 0))
                assert result.values[row, at] == pytest.approx(value, abs=1e-12, nan_ok=True), (name, k)
    assert result.users.tolist() == expected_users
    assert result.n_seen_again == len(seen_again)
    assert result.n_test_users == len(set(test.user.tolist()))


def column(result: RankingResult, metric: str, k: int) -> np.ndarray:
    return result.values[:, result.columns.index((metric, k))]


@pytest.mark.parametrize("tied", [False, True], ids=["random scores", "tied scores"])
def test_figures_agree_with_scikit_learn(tied: bool) -> None:
    rng = np.random.default_rng(int(tied))
    n_users, n_items, ks = 60, 40, (5, 20, 40)
    scores = rng.integers(0, 4, (n_users, n_items)) if tied else rng.standard_normal((n_users, n_items))
    scores = scores.astype(np.float32)
    value = np.where(rng.random((n_users, n_items)) < 0.2, rng.integers(1, 6, (n_users, n_items)), 0)
    value[:, 7] = 3
    user, item = np.nonzero(value)
    test = ratings([(int(u), int(i), float(value[u, i])) for u, i in zip(user, item, strict=True)], n_users, n_items)
    result = evaluate_ranking(TableModel(scores), ratings([], n_users, n_items), test, ks)
    relevant = value > 0
    theirs = [sklearn.metrics.roc_auc_score(relevant[u], scores[u]) for u in range(n_users)]
    np.testing.assert_allclose(column(result, "auc", 0), theirs, atol=1e-6)
    for k in ks:  # scikit-learn averages DCG over the orders of ties too (McSherry and Najork)
        for metric, gain in (("ndcg", relevant), ("graded_ndcg", value)):
            theirs = [sklearn.metrics.ndcg_score(gain[u : u + 1], scores[u : u + 1], k=k) for u in range(n_users)]
            np.testing.assert_allclose(column(result, metric, k), theirs, atol=1e-6, err_msg=f"{metric}@{k}")
    if tied:
        return
    order = np.argsort(-scores, axis=1)
    untied = -np.argsort(order, axis=1)
    for k in ks:
        for metric, score in (("precision", sklearn.metrics.precision_score), ("recall", sklearn.metrics.recall_score)):
            shown = untied > -k
            theirs = [score(relevant[u], shown[u]) for u in range(n_users)]
            np.testing.assert_allclose(column(result, metric, k), theirs, atol=1e-6, err_msg=f"{metric}@{k}")
    theirs = [sklearn.metrics.average_precision_score(relevant[u], untied[u]) for u in range(n_users)]
    np.testing.assert_allclose(column(result, "map", 40), theirs, atol=1e-6)
    first = [1 / (1 + np.flatnonzero(relevant[u][order[u]])[0]) for u in range(n_users)]
    np.testing.assert_allclose(column(result, "mrr", 40), first, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_compiled_kernel_equals_its_jax_twin(seed: int, tied: bool) -> None:
    rng = np.random.default_rng(seed)
    n_users, n_items, k = 6, 30, 8
    scores = rng.integers(-2, 3, (n_users, n_items)) if tied else rng.standard_normal((n_users, n_items))
    part = rng.choice(4, p=[0.3, 0.2, 0.45, 0.05], size=(n_users, n_items))
    scores = np.where(part == 3, -np.inf, scores).astype(np.float32)
    seen, relevant = grouped(part == 0), grouped(part == 1)
    ranks = rng.permutation(n_items).astype(np.int32)
    both = (rank(scores, seen, relevant, ranks, k) for rank in (rank_rows, rank_rows_jax))
    for ours, twin in zip(*both, strict=True):
        np.testing.assert_array_equal(ours, twin)


def grouped(chosen: np.ndarray) -> Grouped:
    starts = np.concatenate([[0], np.cumsum(chosen.sum(axis=1))]).astype(np.int64)
    return Grouped(starts, np.nonzero(chosen)[1].astype(np.int32))


def test_the_result_does_not_depend_on_threads_or_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    table, rows = rng.integers(0, 5, (11, 9)), [(u, int(rng.integers(9)), 1.0) for u in range(11)]
    whole = evaluate_ranking(TableModel(table), ratings([], 11, 9), ratings(rows, 11, 9), (3,))
    monkeypatch.setattr("recsys_pipeline.core.reports.accuracy.ranking_kernels.CPU_THREADS", 5)
    parted = evaluate_ranking(TableModel(table), ratings([], 11, 9), ratings(rows, 11, 9), (3,), batch_users=4)
    np.testing.assert_array_equal(whole.top, parted.top)
    np.testing.assert_array_equal(whole.values, parted.values)
    np.testing.assert_array_equal(whole.coverage, parted.coverage)
    np.testing.assert_array_equal(whole.tied_places, parted.tied_places)


def test_given_negatives_compete_alone_with_the_relevant_items() -> None:
    scores = np.array([[5.0, 4.0, 3.0, 2.0, 1.0]] * 2)
    train, test = ratings([(0, 0, 1.0)], 2, 5), ratings([(0, 3, 1.0), (1, 1, 1.0)], 2, 5)
    negatives = ratings([(0, 2, 1.0), (0, 4, 1.0), (0, 3, 1.0), (1, 4, 1.0)], 2, 5)
    result = evaluate_ranking(TableModel(scores), train, test, (1, 3), negatives=negatives)
    assert result.is_sampled
    assert result.n_candidates.tolist() == [3, 2]
    assert result.top.tolist() == [[2, 3, 4], [1, 4, -1]]
    assert result.rows.places.above.tolist() == [1, 0]
    assert column(result, "auc", 0).tolist() == [0.5, 1.0]
    assert not evaluate_ranking(TableModel(scores), train, test, (1,)).is_sampled


def test_a_seen_item_competes_where_it_is_given_as_a_candidate() -> None:
    train = test = ratings([(0, 3, 1.0)], 1, 5)
    result = evaluate_ranking(TableModel(np.ones((1, 5))), train, test, (2,), negatives=ratings([(0, 4, 1.0)], 1, 5))
    assert sorted(result.top[0].tolist()) == [3, 4]


def test_a_single_item_and_equal_scores_have_a_defined_result() -> None:
    result = evaluate_ranking(TableModel(np.ones((1, 1))), ratings([], 1, 1), ratings([(0, 0, 1.0)], 1, 1), (1, 10))
    assert result.mean("ndcg", 10) == 1.0
    assert result.mean("precision", 10) == 0.1
    assert np.isnan(result.mean("auc", 0))
    equal = evaluate_ranking(TableModel(np.ones((1, 5))), ratings([], 1, 5), ratings([(0, 2, 1.0)], 1, 5), (1,))
    assert equal.mean("auc", 0) == 0.5
    assert (equal.rows.places.above.tolist(), equal.rows.places.tied.tolist()) == ([0], [5])
    assert equal.rows.places.middle.tolist() == [3.0]
    assert equal.mean("recall", 1) == 0.2


def test_ties_in_a_shown_list_go_by_hash_and_zero_has_no_sign() -> None:
    test = ratings([(0, 4, 1.0)])
    result = evaluate_ranking(TableModel(np.tile([0.0, -0.0, 1.0, 0.0, -0.0], (4, 1))), ratings([]), test, (5,))
    assert result.recommended(0).tolist() == [2, *sorted([0, 1, 3, 4], key=lambda i: tie_ranks(5)[i])]
    assert result.recommended(0).tolist() != [2, 0, 1, 3, 4]


def test_ranks_of_ties_are_a_permutation_that_more_items_do_not_reorder_and_age_has_no_say_in() -> None:
    few, many = tie_ranks(50), tie_ranks(5000)
    assert sorted(few.tolist()) == list(range(50))
    assert np.argsort(few).tolist() == np.argsort(many[:50]).tolist()
    assert abs(np.corrcoef(many, np.arange(5000))[0, 1]) < 0.05
    assert len(tie_ranks(0)) == 0


def test_users_and_items_that_train_never_saw_are_ranked_by_their_scores() -> None:
    train, test = ratings([(0, 0, 1.0)]), ratings([(3, 4, 1.0)])  # neither user 3 nor item 4 is in train
    result = evaluate_ranking(TableModel(np.tile(np.arange(5.0), (4, 1))), train, test, (1,))
    assert result.users.tolist() == [3]
    assert result.n_candidates.tolist() == [5]
    assert result.mean("ndcg", 1) == 1.0


def test_short_lists_are_filled_with_minus_one() -> None:
    train = ratings([(0, item, 1.0) for item in range(4)])
    result = evaluate_ranking(TableModel(np.ones((4, 5))), train, ratings([(0, 4, 1.0)]), (3,))
    assert result.top.tolist() == [[4, -1, -1]]
    assert result.mean("precision", 3) == pytest.approx(1 / 3)
    assert result.coverage.tolist() == [1 / 5]
    assert result.shown_counts(3).tolist() == [0, 0, 0, 0, 1]


def test_rmse_covers_every_test_row_even_of_users_without_relevant_items() -> None:
    test = ratings([(0, 0, 5.0), (1, 1, 1.0), (1, 1, 3.0)])
    result = evaluate_ranking(TableModel(np.full((4, 5), 3.0), True), ratings([]), test, (2,), relevant_min_value=4.0)
    assert result.users.tolist() == [0]
    assert result.rmse == pytest.approx(np.sqrt((4 + 4 + 0) / 3))
    assert sorted(result.error_users.tolist()) == [0, 1, 1]


def test_what_can_be_predicted_is_counted_apart_from_the_error() -> None:
    train = ratings([(0, 0, 5.0), (1, 1, 1.0)])
    test = ratings([(0, 1, 5.0), (0, 1, 4.0), (0, 2, 3.0), (2, 1, 3.0)])
    result = evaluate_ranking(TableModel(np.full((4, 5), 3.0), True), train, test, (2,))
    assert result.prediction_coverage == 0.5, "item 2 and user 2 are in no row of train"
    assert len(result.errors) == 4
    assert np.isnan(evaluate_ranking(TableModel(np.ones((4, 5)), True), train, ratings([]), (2,)).prediction_coverage)


def test_no_user_gives_nan_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="no user has a relevant test item"):
        result = evaluate_ranking(TableModel(np.ones((4, 5))), ratings([]), ratings([(0, 1, 1.0)]), (2,), 3.0)
    assert np.isnan(result.mean("ndcg", 2))
    assert np.isnan(result.rmse)
    assert np.isnan(result.coverage).all()
    with pytest.raises(DataError, match="user 0 was not evaluated"):
        result.recommended(0)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_name_model_and_user(bad: float) -> None:
    table = np.ones((4, 5))
    table[2, 3] = bad
    with pytest.raises(ModelError, match=r"broken: a score of user 2"):
        evaluate_ranking(TableModel(table), ratings([]), ratings([(0, 1, 1.0), (2, 1, 1.0)]), (2,), name="broken")


def test_wrong_shapes_folds_and_cut_offs_are_refused() -> None:
    model, test = TableModel(np.ones((4, 5))), ratings([(0, 1, 1.0)])
    with pytest.raises(DataError, match="one snapshot"):
        evaluate_ranking(model, dataclasses.replace(ratings([]), n_items=6), test)
    with pytest.raises(ModelError, match="shape"):
        evaluate_ranking(TableModel(np.ones((4, 4))), ratings([]), test)
    for ks in ((), (0,), (2, 2)):
        with pytest.raises(SettingError, match="cut-offs"):
            evaluate_ranking(model, ratings([]), test, ks)
