"""Full-ranking evaluation against a plain loop, and what it must refuse."""

import dataclasses
from pathlib import Path
from typing import Self

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Float32, Int32

from recsys_pipeline.core.errors import DataError, ModelError, SettingError
from recsys_pipeline.core.folds import Fold
from recsys_pipeline.core.reports.metrics import list_metrics
from recsys_pipeline.core.reports.ranking import evaluate_ranking
from recsys_pipeline.core.types import Ratings


class TableModel:
    """Scores from a table, handed out read-only so that an evaluator which writes into them is caught."""

    def __init__(self, table: np.ndarray, predicts_values: bool = False) -> None:
        self.table = table.astype(np.float32)
        self.table.flags.writeable = False
        self.predicts_values = predicts_values

    def scores(self, users: Int32[np.ndarray, " batch"]) -> Float32[np.ndarray, "batch items"]:
        return self.table[users]

    def save(self, directory: Path) -> None:
        raise NotImplementedError

    @classmethod
    def load(cls, directory: Path) -> Self:
        raise NotImplementedError


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
    """Unseen items, higher score first, then lower index."""
    unseen = [item for item in range(len(scores)) if item not in seen]
    return sorted(unseen, key=lambda item: (-scores[item], item))[:k]


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
        relevant = {int(i) for i in test.item[rows]}
        seen_again |= {(user, item) for item in relevant & seen}
        if not relevant - seen:
            continue
        expected_users.append(user)
        top = plain_list(scores[user], seen, 9)
        assert result.recommended(user).tolist() == top
        row = expected_users.index(user)
        for k in (2, 12):
            for name, value in list_metrics(top, relevant - seen, k).items():
                assert result.values[row, result.columns.index((name, k))] == pytest.approx(value), (name, k)
    assert result.users.tolist() == expected_users
    assert result.n_seen_again == len(seen_again)
    assert result.n_test_users == len(set(test.user.tolist()))


def test_ties_go_to_the_lower_item_and_zero_has_no_sign() -> None:
    test = ratings([(0, 4, 1.0)])
    result = evaluate_ranking(TableModel(np.tile([0.0, -0.0, 1.0, 0.0, -0.0], (4, 1))), ratings([]), test, (5,))
    assert result.recommended(0).tolist() == [2, 0, 1, 3, 4]


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
