"""Losses against plain NumPy, and gradients where careless ones are NaN."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_pipeline.core.learning.looks.losses import soft_unit_norm, triplet_loss


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
