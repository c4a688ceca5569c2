"""Item-to-item search against its readable twin."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_pipeline.core.errors import ModelError, SettingError
from recsys_pipeline.core.neighbors import similar
from recsys_pipeline.core.neighbors.similar import nearest_by_cosine, similar_product_plainly, similar_products


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 14), st.booleans(), st.booleans())
def test_equals_the_readable_twin(seed: int, k: int, same_category: bool, on_sale: bool) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(11, 4)).astype(np.float32)
    vectors[3] = 0
    categories, available = rng.integers(0, 3, 11), rng.random(11) < 0.7
    rows, cosines = similar_products(
        vectors, np.arange(11), k, categories if same_category else None, available if on_sale else None
    )
    assert rows.shape == cosines.shape == (11, k)
    for row in range(11):
        allowed = ((categories == categories[row]) | (not same_category)) & (available | (not on_sale))
        expected = similar_product_plainly(vectors, row, k, allowed)
        assert rows[row].tolist() == expected + [-1] * (k - len(expected))
        assert (np.diff(cosines[row][: len(expected)]) <= 1e-6).all()


def test_batches_leave_no_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
    whole = similar_products(vectors, np.arange(9), 4)
    monkeypatch.setattr(similar, "SCORES_AT_ONCE", 20)
    parts = similar_products(vectors, np.arange(9), 4)
    np.testing.assert_array_equal(whole[0], parts[0])


def test_length_says_nothing_and_equals_go_by_row() -> None:
    vectors = np.array([[1, 0], [3, 0], [0.5, 0], [0, 1]], np.float32)
    rows, cosines = nearest_by_cosine(np.array([[2, 0]], np.float32), vectors, 4)
    assert rows.tolist() == [[0, 1, 2, 3]]
    assert cosines[0] == pytest.approx([1, 1, 1, 0])
    keyed, _ = nearest_by_cosine(np.array([[2, 0]], np.float32), vectors, 2, tie_key=np.array([7, 8, 3, 0], np.uint64))
    assert keyed.tolist() == [[2, 0]]
    assert similar_products(vectors, np.array([], np.int64), 2)[0].shape == (0, 2)


@pytest.mark.parametrize("n_queries", [1, 5])
def test_many_equal_products_go_by_row_wherever_they_stand(n_queries: int) -> None:
    """A product of matrices gives equal vectors several scores, which differ in the last digit."""
    rng = np.random.default_rng(0)
    vectors = np.repeat(rng.normal(size=(1, 64)), 1003, axis=0).astype(np.float32)
    rows, cosines = nearest_by_cosine(rng.normal(size=(n_queries, 64)).astype(np.float32), vectors, 900)
    np.testing.assert_array_equal(rows, np.tile(np.arange(900), (n_queries, 1)))
    assert (cosines == cosines[:, :1]).all()


def test_bad_arguments_say_so() -> None:
    vectors = np.eye(2, dtype=np.float32)
    with pytest.raises(SettingError, match="k = 0"):
        similar_products(vectors, np.array([0]), 0)
    with pytest.raises(ModelError, match="vector row 1"):
        nearest_by_cosine(vectors, np.array([[0, 1], [np.nan, 0]], np.float32), 1)
