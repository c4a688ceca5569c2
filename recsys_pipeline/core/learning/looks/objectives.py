"""Which loss over which candidates: the two settings by which a training batch becomes one number."""

from typing import Literal

import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float

from recsys_pipeline.core.learning.neural.score_losses import (
    Scalar,
    all_negatives_loss,
    batch_hard_loss,
    hardest_negative_loss,
    semi_hard_loss,
    softmax_loss,
)

Loss = Literal["triplet", "batch_hard", "softmax"]
Mining = Literal["given", "hardest_of_n", "in_batch", "semi_hard"]

MINING: dict[str, dict[str, str]] = {
    "triplet": dict.fromkeys(("given", "hardest_of_n", "in_batch", "semi_hard"), ""),
    "batch_hard": {
        "in_batch": "",
        "given": "it needs the whole batch to choose from: take mining in_batch",
        "hardest_of_n": "it chooses the hardest of the batch: take mining in_batch, or loss triplet",
        "semi_hard": "it chooses the hardest, not semi-hard ones: take mining in_batch, or loss triplet",
    },
    "softmax": {
        "given": "",
        "in_batch": "",
        "hardest_of_n": "it weighs hard negatives by itself: take mining given with n_negatives",
        "semi_hard": "it weighs hard negatives by itself: take mining in_batch",
    },
}
"""What each loss does with each way of mining: nothing to say, or why they do not go together."""

DRAWN = ("given", "hardest_of_n")
"""Ways of mining that look at negatives drawn for each pair; the others look at the batch's own products."""


def batch_loss(
    loss: Loss,
    mining: Mining,
    scores: Float[Array, "n m"],
    positive: Bool[Array, "n m"],
    negative: Bool[Array, "n m"],
    margin: Scalar,
    temperature: Scalar,
) -> Float[Array, ""]:
    """Mean loss of the rows that have negatives; row i's own positive is column i."""
    own = jnp.diagonal(scores)
    if loss == "batch_hard":
        each = batch_hard_loss(scores, positive, negative, margin)
    elif loss == "softmax":
        each = softmax_loss(scores, positive, negative, temperature)
    elif mining == "semi_hard":
        each = semi_hard_loss(scores, own, negative, margin)
    elif mining == "hardest_of_n":
        each = hardest_negative_loss(scores, own, negative, margin)
    else:
        each = all_negatives_loss(scores, own, negative, margin)
    return each.sum() / jnp.maximum(negative.any(axis=1).sum(), 1)
