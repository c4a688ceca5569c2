"""Losses against plain NumPy, and gradients where careless ones are NaN."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_pipeline.core.learning.looks.objectives import MINING, batch_loss
from recsys_pipeline.core.learning.neural import score_losses
from recsys_pipeline.core.learning.neural.score_losses import soft_unit_norm, triplet_loss

Row = Callable[[np.ndarray, float, np.ndarray, np.ndarray, float], float]


def all_negatives(s: np.ndarray, own: float, positive: np.ndarray, negative: np.ndarray, margin: float) -> float:
    del positive
    return float(np.mean([max(0.0, margin + s[j] - own) for j in np.flatnonzero(negative)]))


def hardest_negative(s: np.ndarray, own: float, positive: np.ndarray, negative: np.ndarray, margin: float) -> float:
    del positive
    return max(0.0, margin + max(s[negative]) - own)


def semi_hard(s: np.ndarray, own: float, positive: np.ndarray, negative: np.ndarray, margin: float) -> float:
    del positive
    below = [score for score in s[negative] if score < own]
    return max(0.0, margin + (max(below) if below else min(s[negative])) - own)


def batch_hard(s: np.ndarray, own: float, positive: np.ndarray, negative: np.ndarray, margin: float) -> float:
    del own
    return max(0.0, margin + max(s[negative]) - min(s[positive])) if positive.any() else 0.0


def softmax(s: np.ndarray, own: float, positive: np.ndarray, negative: np.ndarray, temperature: float) -> float:
    del own
    e = np.exp(s.astype(np.float64) / temperature)
    each = [-np.log(e[j] / (e[j] + e[negative].sum())) for j in np.flatnonzero(positive)]
    return float(np.mean(each)) if each else 0.0


TWINS: dict[tuple[str, str], Row] = {
    ("triplet", "given"): all_negatives,
    ("triplet", "in_batch"): all_negatives,
    ("triplet", "hardest_of_n"): hardest_negative,
    ("triplet", "semi_hard"): semi_hard,
    ("batch_hard", "in_batch"): batch_hard,
    ("softmax", "given"): softmax,
    ("softmax", "in_batch"): softmax,
}
N, M = 5, 8
fast = jax.jit(batch_loss, static_argnums=(0, 1))


def drawn(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores and masks in which candidates are neither, or one of both; some rows have no negative or no positive."""
    rng = np.random.default_rng(seed)
    role = rng.integers(0, 3, (N, M))
    role[0, role[0] == 2] = 0
    role[1, role[1] == 1] = 0
    return rng.normal(0, 1, (N, M)).astype(np.float32), role == 1, role == 2


def test_every_combination_that_makes_sense_has_a_twin() -> None:
    assert {(loss, mining) for loss, ways in MINING.items() for mining, reason in ways.items() if not reason} == set(
        TWINS
    )


@pytest.mark.parametrize("kind", sorted(TWINS))
@given(seed=st.integers(0, 10_000), number=st.sampled_from([0.2, 1.0]))
@settings(max_examples=15, deadline=None)
def test_batch_loss_equals_its_twin(kind: tuple[Any, Any], seed: int, number: float) -> None:
    scores, positive, negative = drawn(seed)
    rows = [
        TWINS[kind](scores[i], float(scores[i, i]), positive[i], negative[i], number)
        for i in range(N)
        if negative[i].any()
    ]
    expected = np.mean(rows) if rows else 0.0
    np.testing.assert_allclose(fast(*kind, scores, positive, negative, number, number), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", sorted(TWINS))
@pytest.mark.parametrize("scale", [0.0, 1e4])
def test_gradient_is_finite_where_all_scores_are_equal_and_where_they_are_far_apart(
    kind: tuple[Any, Any], scale: float
) -> None:
    scores, positive, negative = drawn(3)
    gradient = jax.grad(batch_loss, argnums=2)(
        *kind, jnp.asarray(scale * scores), jnp.asarray(positive), jnp.asarray(negative), 1.0, 0.1
    )
    assert np.isfinite(gradient).all()
    assert (np.asarray(gradient)[~positive & ~negative & ~np.eye(N, M, dtype=bool)] == 0).all()
    assert (np.asarray(gradient)[0] == 0).all()  # the row without negatives


def test_softmax_leaves_other_positives_out_of_the_denominator() -> None:
    """With them, two right answers could never both be certain: the loss could not fall below log 2."""
    scores = jnp.array([[9.0, 9.0, -9.0]])
    positive, negative = jnp.array([[True, True, False]]), jnp.array([[False, False, True]])
    assert float(score_losses.softmax_loss(scores, positive, negative, 1.0)[0]) < 1e-6


def test_no_batch_without_negatives_divides_by_zero() -> None:
    none = jnp.zeros((2, 2), bool)
    for kind in TWINS:
        assert float(fast(*kind, jnp.ones((2, 2)), jnp.eye(2, dtype=bool), none, 1.0, 0.1)) == 0.0  # pyright: ignore[reportArgumentType]


@given(seed=st.integers(0, 1000), margin=st.sampled_from([0.2, 1.0, 3.0]))
def test_triplet_loss_is_the_hinge_of_its_definition(seed: int, margin: float) -> None:
    positive, negative = np.random.default_rng(seed).normal(0, 2, (2, 7)).astype(np.float32)
    loss = triplet_loss(jnp.asarray(positive), jnp.asarray(negative), margin)
    expected = [max(0.0, margin + n - p) for p, n in zip(positive, negative, strict=True)]
    np.testing.assert_allclose(loss, expected, rtol=1e-6, atol=1e-6)


@given(seed=st.integers(0, 1000), scale=st.sampled_from([0.01, 0.5, 5.0]))
def test_soft_unit_norm_is_the_hinge_of_the_norm(seed: int, scale: float) -> None:
    embedding = (scale * np.random.default_rng(seed).normal(size=(5, 4))).astype(np.float32)
    expected = np.maximum(0, np.linalg.norm(embedding, axis=1) - 1)
    np.testing.assert_allclose(soft_unit_norm(jnp.asarray(embedding)), expected, rtol=1e-5, atol=1e-6)


def test_gradient_is_finite_at_zero_and_points_inwards_outside() -> None:
    gradient = jax.grad(lambda e: soft_unit_norm(e).sum())
    np.testing.assert_array_equal(gradient(jnp.zeros((2, 3))), np.zeros((2, 3)))
    np.testing.assert_allclose(gradient(jnp.array([[3.0, 4.0]])), [[0.6, 0.8]], rtol=1e-6)
    np.testing.assert_array_equal(gradient(jnp.array([[0.3, 0.4]])), [[0.0, 0.0]])


def test_the_obvious_formula_would_have_failed() -> None:
    naive = jax.grad(lambda e: jnp.maximum(jnp.sqrt(jnp.sum(e * e)) - 1, 0.0))
    with pytest.raises(AssertionError):
        assert jnp.isfinite(naive(jnp.zeros(3))).all()
