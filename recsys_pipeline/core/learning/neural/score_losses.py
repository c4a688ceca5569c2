"""Losses over the scores of a batch: rows are scenes (anchors), columns candidate products.

Two masks say what a candidate is to a row: `positive` where it suits, `negative` where it counts as a wrong answer;
it may be neither. A row without positives or without negatives costs nothing. All are differentiable at scores that
are all 0, and take the row's mean or extreme over masked columns only.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float

Scalar = float | Float[Array, ""]

NOTHING = 1e9
"""Stands for "no such candidate" in a minimum; far beyond any score, and finite, so that gradients are too."""


def triplet_loss(
    positive_score: Float[Array, " batch"], negative_score: Float[Array, " batch"], margin: Scalar = 1.0
) -> Float[Array, " batch"]:
    """Hinge that asks the positive to score at least `margin` above the negative.

    `max(0, margin + s(scene, negative) - s(scene, positive))`, the large-margin loss of Schroff et al. 2015
    (FaceNet) written for similarities, as in chapter 5 of Bischof & Yee, "Building Recommendation Systems in
    Python and JAX". Shape `[batch]`; take the mean.
    """
    return jnp.maximum(0.0, margin + negative_score - positive_score)


def all_negatives_loss(
    scores: Float[Array, "n m"],
    own: Float[Array, " n"],
    negative: Bool[Array, "n m"],
    margin: Scalar = 1.0,
) -> Float[Array, " n"]:
    """Mean triplet loss of the row's `own` positive score over all its negatives."""
    hinges = jnp.where(negative, jnp.maximum(0.0, margin + scores - own[:, None]), 0.0)
    return hinges.sum(axis=1) / jnp.maximum(negative.sum(axis=1), 1)


def hardest_negative_loss(
    scores: Float[Array, "n m"],
    own: Float[Array, " n"],
    negative: Bool[Array, "n m"],
    margin: Scalar = 1.0,
) -> Float[Array, " n"]:
    """Triplet loss of the row's `own` positive score against the negative that scores highest."""
    return triplet_loss(own, _highest(scores, negative), margin)


def semi_hard_loss(
    scores: Float[Array, "n m"],
    own: Float[Array, " n"],
    negative: Bool[Array, "n m"],
    margin: Scalar = 1.0,
) -> Float[Array, " n"]:
    """Triplet loss against the highest negative that scores below the row's `own` positive.

    Harder ones let embeddings collapse early in training (Schroff et al., "FaceNet", CVPR 2015, section 3.2). Where
    all negatives score at least as high, the lowest of them is taken.
    """
    below = negative & (scores < own[:, None])
    chosen = jnp.where(below.any(axis=1), _highest(scores, below), _lowest(scores, negative))
    return jnp.where(negative.any(axis=1), triplet_loss(own, chosen, margin), 0.0)


def batch_hard_loss(
    scores: Float[Array, "n m"],
    positive: Bool[Array, "n m"],
    negative: Bool[Array, "n m"],
    margin: Scalar = 1.0,
) -> Float[Array, " n"]:
    """Triplet loss of the row's lowest positive against its highest negative (Hermans et al. 2017, equation 5).

    "In defense of the triplet loss for person re-identification", arXiv:1703.07737.
    """
    hinge = triplet_loss(_lowest(scores, positive), _highest(scores, negative), margin)
    return jnp.where(positive.any(axis=1) & negative.any(axis=1), hinge, 0.0)


def softmax_loss(
    scores: Float[Array, "n m"],
    positive: Bool[Array, "n m"],
    negative: Bool[Array, "n m"],
    temperature: Scalar = 0.1,
) -> Float[Array, " n"]:
    """InfoNCE over `scores / temperature`, averaged over the row's positives.

    `-log(e^p / (e^p + Σ_negatives e^n))`: van den Oord et al. 2018 (arXiv:1807.03748) for one positive, and the mean
    over positives of Khosla et al. 2020 ("Supervised contrastive learning", L_out) for several, except that a row's
    other positives are left out of the denominator: they are right answers too.
    """
    logits = scores / temperature
    highest = jax.lax.stop_gradient(_highest(logits, negative))[:, None]
    # Masked before `exp`: what is masked only behind it may overflow, and its gradient would be 0 · inf = NaN.
    sums = jnp.exp(jnp.where(negative, logits - highest, -NOTHING)).sum(axis=1, keepdims=True)
    some = negative.any(axis=1, keepdims=True)
    wrong = jnp.where(some, jnp.log(jnp.where(some, sums, 1.0)) + highest, -NOTHING)
    each = jnp.where(positive, jax.nn.softplus(wrong - logits), 0.0)
    return each.sum(axis=1) / jnp.maximum(positive.sum(axis=1), 1)


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


def _highest(scores: Float[Array, "n m"], of: Bool[Array, "n m"]) -> Float[Array, " n"]:
    return jnp.where(of, scores, -NOTHING).max(axis=1)


def _lowest(scores: Float[Array, "n m"], of: Bool[Array, "n m"]) -> Float[Array, " n"]:
    return jnp.where(of, scores, NOTHING).min(axis=1)
