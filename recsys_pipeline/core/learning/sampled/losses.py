"""Losses over a chosen item and negatives: plain JAX functions of their scores, whose gradients JAX finds.

Each takes the scores of the positives `[batch]`, of their negatives `[batch, negatives]`, and which of these are there
(a user who has every item leaves no negative). Each returns the loss per example, and which of the pairs it used, the
positive first: only those are regularised. The compiled kernel (`sampled/kernels.py`) holds the same derivatives in
closed form, and a test holds both equal.

>>> loss, _ = bpr(jnp.array([2.0]), jnp.array([[1.0, 3.0]]), jnp.array([[True, True]]))
>>> print(round(float(loss[0]), 3))  # log(1 + e^-1) + log(1 + e)
1.627
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Float32

Result = tuple[Float[Array, " batch"], Bool[Array, "batch pairs"]]
Positive = Float[Array, " batch"]
Negatives = Float[Array, "batch negatives"]
Allowed = Bool[Array, "batch negatives"]
Number = float | Float[Array, ""]


def squared(positive: Positive, negatives: Negatives, allowed: Allowed, value: Positive) -> Result:
    """`½ (s⁺ − r)² + ½ Σ s⁻²`: the positive is pulled to its value, the negatives to 0."""
    loss = ((positive - value) ** 2 + (allowed * negatives**2).sum(1)) / 2
    return loss, _all(allowed)


def logistic(positive: Positive, negatives: Negatives, allowed: Allowed) -> Result:
    """`−log σ(s⁺) − Σ log σ(−s⁻)`: the score is the log-odds that the pair is an observed one.

    Rendle, Krichene, Zhang and Anderson, "Neural collaborative filtering vs. matrix factorization revisited", RecSys
    2020, equation 2.
    """
    loss = jax.nn.softplus(-positive) + (allowed * jax.nn.softplus(negatives)).sum(1)
    return loss, _all(allowed)


def bpr(positive: Positive, negatives: Negatives, allowed: Allowed) -> Result:
    """`−Σ log σ(s⁺ − s⁻)`: Rendle et al., "BPR: Bayesian personalized ranking from implicit feedback", UAI 2009."""
    loss = (allowed * jax.nn.softplus(negatives - positive[:, None])).sum(1)
    return loss, _all(allowed)


def warp(
    positive: Positive,
    negatives: Negatives,
    allowed: Allowed,
    rank_weight: Float32[np.ndarray, " items"] | Float32[Array, " items"],
) -> Result:
    """`L(rank) · max(0, 1 − s⁺ + s⁻)` of the first negative within the margin; nothing where no trial finds one.

    With M items and the find at trial N, the rank is taken to be ⌊(M − 1) / N⌋, and `L(k) = Σ_{t ≤ k} 1/t`, which
    `harmonic(M)` holds. Weston, Bengio and Usunier, "WSABIE: scaling up to large vocabulary image annotation", IJCAI
    2011, algorithm 1.
    """
    within = allowed & (negatives > positive[:, None] - 1)
    trial = jnp.argmax(within, axis=1)
    is_found = within.any(axis=1)
    rank = jnp.maximum((len(rank_weight) - 1) // (trial + 1), 1)
    weight = is_found * jnp.asarray(rank_weight)[rank - 1]
    first = jnp.take_along_axis(negatives, trial[:, None], axis=1)[:, 0]
    used = is_found[:, None] & (jnp.arange(negatives.shape[1]) == trial[:, None])
    return weight * (1 - positive + first), jnp.column_stack([is_found, used])


def softmax(
    positive: Positive,
    negatives: Negatives,
    allowed: Allowed,
    positive_log_q: Positive,
    log_q: Negatives,
    temperature: Number,
) -> Result:
    """`−log (e^{z⁺} / (e^{z⁺} + Σ e^{z⁻}))` with `z = s / temperature − log q`.

    `q` is how often the item is expected among the candidates, so that the sum over the few estimates the sum over the
    catalogue: for drawn negatives (number of draws) × (chance per draw) and 1 for the positive, which is always there;
    within a batch the item's share of the rows, for all (Yi et al., "Sampling-bias-corrected neural modeling for large
    corpus item recommendations", RecSys 2019, section 4). Zeros leave the scores as they are.
    """
    z = jnp.where(allowed, negatives / temperature - log_q, -jnp.inf)
    own = positive / temperature - positive_log_q
    loss = jax.nn.logsumexp(jnp.column_stack([own, z]), axis=1) - own
    return loss, _all(allowed)


def into_range(score: Float[Array, "..."], low: Number, high: Number) -> Float[Array, "..."]:
    """`low + (high − low) σ(score)`: a value that cannot leave its scale, as in fastai's `y_range`."""
    return low + (high - low) * jax.nn.sigmoid(score)


def kth_positive(scores: Float[Array, "batch positives"], order: int) -> Bool[Array, "batch positives"]:
    """Marks the positive with the k-th highest score; of equal ones the earlier is the higher.

    Weston, Yee and Weiss, "Learning to rank recommendations with the k-order statistic loss", RecSys 2013, algorithm 3.
    """
    ranks = jnp.argsort(jnp.argsort(-scores, axis=1, stable=True), axis=1)
    return ranks == order - 1


def harmonic(n_items: int) -> Float32[np.ndarray, " items"]:
    """`Σ_{t ≤ k} 1/t` for k from 1 to the number of items."""
    return np.cumsum(1 / np.arange(1, n_items + 1)).astype(np.float32)


def _all(allowed: Allowed) -> Bool[Array, "batch pairs"]:
    return jnp.column_stack([jnp.ones(len(allowed), bool), allowed])
