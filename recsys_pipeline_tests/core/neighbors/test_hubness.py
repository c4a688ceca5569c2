"""Hubness corrections against their readable twin, and what they must do to hubs."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_pipeline.core.errors import ModelError, SettingError
from recsys_pipeline.core.neighbors import hubness
from recsys_pipeline.core.neighbors.exact import exact_top_k_numpy
from recsys_pipeline.core.neighbors.hubness import (
    METHODS,
    correct_plainly,
    csls_penalty,
    csls_queries,
    csls_vectors,
    fit_correction,
    k_occurrence_skewness,
)


def cloud(seed: int, n: int, dim: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.3, 1, (n, dim)).astype(np.float32)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(METHODS), st.sampled_from([1, 3, 50]))
def test_corrections_equal_their_readable_twin(seed: int, method: str, k: int) -> None:
    references, vectors, queries = cloud(seed, 6), cloud(seed + 1, 9), cloud(seed + 2, 4)
    scores = queries @ vectors.T
    expected = correct_plainly(method, scores.astype(np.float64), (references @ vectors.T).astype(np.float64), k)
    found = fit_correction(method, references @ vectors.T, k)(scores)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_many_vectors_come_in_parts_and_leave_no_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    references, vectors, queries = cloud(0, 20), cloud(1, 30), cloud(2, 3)
    whole = [fit_correction(method, references @ vectors.T)(queries @ vectors.T) for method in METHODS]
    monkeypatch.setattr(hubness, "VECTORS_AT_ONCE", 7)
    parts = [fit_correction(method, references @ vectors.T)(queries @ vectors.T) for method in METHODS]
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)


def test_csls_by_hand() -> None:
    # Two references and one query; the first vector is near to both references, the second to neither.
    references, vectors = np.array([[1.0, 0], [0.8, 0]], np.float32), np.array([[1, 0], [0, 1]], np.float32)
    assert csls_penalty(references @ vectors.T, 2).tolist() == pytest.approx([0.9, 0])
    corrected = fit_correction("csls", references @ vectors.T, 2)(np.array([[0.5, 0.3]], np.float32))
    assert corrected[0] == pytest.approx([1.0 - 0.4 - 0.9, 0.6 - 0.4 - 0])


def test_mutual_proximity_by_hand() -> None:
    # At the mean of the query's similarities and of the vector's, both chances are one half.
    references, vectors = np.array([[0.0], [2.0]], np.float32), np.array([[1.0], [1.0]], np.float32)
    corrected = fit_correction("mutual_proximity", references @ vectors.T)(np.array([[1.0, 1.0]], np.float32))
    assert corrected[0] == pytest.approx([math.log(0.25)] * 2)


def test_a_vector_that_is_nearer_to_everything_keeps_half_or_nothing_of_its_lead() -> None:
    """Of a rise of c in all similarities, CSLS keeps c of 2 c, and mutual proximity's factor of the vector nothing."""
    references, queries = (np.column_stack([cloud(seed, 40), np.ones(40, np.float32)]) for seed in (3, 5))
    vectors = np.column_stack([cloud(4, 12), np.zeros(12, np.float32)])
    raised = vectors + 5.0 * np.outer(np.eye(12)[2], np.eye(6)[5]).astype(np.float32)
    leads = []
    for table in (vectors, raised):
        corrected = fit_correction("csls", references @ table.T)(queries @ table.T)
        leads.append(corrected[:, 2] - corrected[:, 0])
    np.testing.assert_allclose(leads[1] - leads[0], 5.0, rtol=1e-4)
    plain, lifted = (fit_correction("mutual_proximity", references @ table.T) for table in (vectors, raised))
    np.testing.assert_allclose(lifted.mean - plain.mean, 5.0 * np.eye(12)[2], atol=1e-5)
    np.testing.assert_allclose(lifted.deviation, plain.deviation, rtol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_corrections_take_the_edge_off_hubs(method: str) -> None:
    references, vectors, queries = cloud(6, 300, 20), cloud(7, 300, 20), cloud(8, 300, 20)
    scores = queries @ vectors.T
    before, after = (
        k_occurrence_skewness(np.argsort(-table, axis=1)[:, :10], 300)
        for table in (scores, fit_correction(method, references @ vectors.T)(scores))
    )
    assert before > 2
    assert after < before / 2


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_an_index_of_csls_vectors_orders_as_csls(seed: int) -> None:
    references, vectors, queries = cloud(seed, 12), cloud(seed + 1, 15), cloud(seed + 2, 4)
    penalty = csls_penalty(references @ vectors.T)
    found, scores = exact_top_k_numpy(csls_queries(queries), csls_vectors(vectors, penalty), 15)
    corrected = fit_correction("csls", references @ vectors.T)(queries @ vectors.T)
    # Halved, and with the query's own part left out, the scores are those of CSLS: no tie can hide a wrong order.
    own = corrected.mean(axis=1, keepdims=True) / 2 - scores.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(np.take_along_axis(corrected, found, axis=1) / 2, scores + own, atol=1e-4)


def test_skewness_of_even_and_empty_lists_is_undefined() -> None:
    assert math.isnan(k_occurrence_skewness(np.array([[0, 1], [1, 0]]), 2))
    assert math.isnan(k_occurrence_skewness(np.zeros((0, 3), np.int32), 0))
    assert k_occurrence_skewness(np.array([[0, -1], [0, 1]]), 3) == pytest.approx(0)


def test_bad_arguments_say_so() -> None:
    vectors = cloud(0, 3)
    with pytest.raises(ModelError, match="reference queries"):
        fit_correction("csls", vectors[:0] @ vectors.T)
    with pytest.raises(SettingError, match="n_neighbors = 0"):
        fit_correction("csls", vectors @ vectors.T, 0)
    with pytest.raises(SettingError, match="no correction of hubs named 'cosine': choose from csls"):
        fit_correction("cosine", vectors @ vectors.T)
