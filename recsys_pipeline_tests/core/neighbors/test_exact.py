"""The exact oracle against its NumPy twin, ties included."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_pipeline.core.errors import ModelError, SettingError
from recsys_pipeline.core.kernels import top_k_plainly
from recsys_pipeline.core.neighbors.exact import exact_top_k, exact_top_k_numpy


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 4, 15]), st.sampled_from([3, 512]))
def test_equals_the_numpy_twin_with_many_ties(seed: int, k: int, batch: int) -> None:
    rng = np.random.default_rng(seed)  # small whole numbers: products are exact, ties are common
    queries, vectors = (rng.integers(-2, 3, size=(n, 3)).astype(np.float32) for n in (7, 12))
    ours, theirs = exact_top_k(queries, vectors, k, batch), exact_top_k_numpy(queries, vectors, k)
    np.testing.assert_array_equal(ours[0], theirs[0])
    np.testing.assert_array_equal(ours[1], theirs[1])
    key = rng.integers(0, 9, 12).astype(np.uint64)
    keyed, _ = exact_top_k(queries, vectors, k, batch, key)
    assert keyed.tolist() == top_k_plainly(queries @ vectors.T, k, key)[0]


def test_negative_zero_ties_with_zero() -> None:
    indices, _ = exact_top_k(np.array([[-0.0]], np.float32), np.array([[1.0], [-1.0], [1.0]], np.float32), 3)
    assert indices.tolist() == [[0, 1, 2]]


def test_no_queries_and_k_past_the_table() -> None:
    vectors = np.eye(3, dtype=np.float32)
    assert exact_top_k(np.empty((0, 3), np.float32), vectors, 2)[0].shape == (0, 2)
    assert exact_top_k(vectors, vectors, 10)[0].shape == (3, 3)


def test_bad_input_names_its_row() -> None:
    vectors = np.eye(3, dtype=np.float32)
    broken = vectors.copy()
    broken[1, 1] = np.nan
    with pytest.raises(ModelError, match="vector row 1"):
        exact_top_k(vectors, broken, 1)
    with pytest.raises(ModelError, match="query row 1"):
        exact_top_k(broken, vectors, 1)
    with pytest.raises(SettingError, match="k = 0"):
        exact_top_k(vectors, vectors, 0)
