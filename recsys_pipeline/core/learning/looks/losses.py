"""Losses that models share; each works on JAX and on NumPy arrays alike where its docstring says so."""

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float


def triplet_loss(
    positive_score: Float[Array, " batch"],
    negative_score: Float[Array, " batch"],
    margin: float | Float[Array, ""] = 1.0,
) -> Float[Array, " batch"]:
    """Hinge that asks the positive to score at least `margin` above the negative.

    `max(0, margin + s(scene, negative) - s(scene, positive))`, the large-margin loss of Schroff et al. 2015
    (FaceNet) written for similarities, as in chapter 5 of Bischof & Yee, "Building Recommendation Systems in
    Python and JAX". Shape `[batch]`; take the mean.
    """
    return jnp.maximum(0.0, margin + negative_score - positive_score)


def soft_unit_norm(embedding: Float[Array, "batch dim"]) -> Float[Array, " batch"]:
    """How far each embedding leaves the unit ball: `max(0, ‖e‖ - 1)`.

    It keeps dot products comparable without forcing every vector onto the sphere, so a short vector may still say
    "unsure". The gradient at 0 is 0; a plain `sqrt` would give NaN there, and one dead embedding would destroy the
    whole model.
    """
    squared = jnp.sum(jnp.square(embedding), axis=-1)
    outside = squared > 1.0
    # The inner `where` keeps sqrt away from 0: a gradient that is masked only outside would still be 0 · inf = NaN.
    return jnp.where(outside, jnp.sqrt(jnp.where(outside, squared, 1.0)) - 1.0, 0.0)
