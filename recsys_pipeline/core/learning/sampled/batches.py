"""One step over a batch in JAX: gather the rows that it touches, step them and their optimiser state, put them back.

No gradient is ever made for a whole table: the distinct rows of a batch are gathered, the loss is a function of these
alone, Optax turns its gradient into updates of them, and of all state only theirs is read or written (lazy Adam). Many
batches run in one dispatch, as a scan.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int32

from recsys_pipeline.core.learning.sampled import losses
from recsys_pipeline.core.learning.sampled.problem import Table
from recsys_pipeline.core.learning.sampled.settings import SampledMfConfig

ADAGRAD_START, ADAGRAD_EPS = 0.1, 1e-7
"""Optax's defaults; the compiled kernel starts from the same."""

Batch = Mapping[str, Array]
"""`user`, `item`, `value`, `rate` `[batch]` (user −1 pads), and as the settings ask `positives` and `negatives` and
`history` `[batch, any]` (item numbers, −1 for none) and `allowed` `[batch, batch]`."""


ITEM_NUMBERS = ("item", "positives", "negatives", "history")
"""The arrays of a batch that name items."""


class Structure(NamedTuple):
    """The settings that a compilation depends on; all others are traced, so that the trials of a sweep share one."""

    loss: str
    optimizer: str
    order: int
    in_batch: bool
    user_vector: str
    is_sigmoid: bool
    use_biases: bool
    fix_items: bool

    @classmethod
    def of(cls, config: SampledMfConfig, fix_items: bool) -> "Structure":
        """The settings' own."""
        return cls(
            config.loss, config.optimizer, config.order, config.in_batch, config.user_vector,
            config.head == "sigmoid", config.use_biases, fix_items,
        )  # fmt: skip


class Constants(NamedTuple):
    """Numbers and per-row figures that a step reads: those of `Problem`, and of the settings."""

    offset: Any
    low: Any
    high: Any
    temperature: Any
    decay: Any
    user_reg: Any
    item_reg: Any
    positive_log_q: Any
    log_q: Any
    rank_weight: Any


class Carry(NamedTuple):
    """What the scan hands on: both tables and the state of their optimisers."""

    users: Table
    items: Table
    user_state: Any
    item_state: Any


def update_rule(optimizer: str, decay: Any) -> optax.GradientTransformation:
    """The Optax rule for a learning rate of 1; the step scales by the rate itself, which a schedule changes."""
    rules = {
        "sgd": optax.identity,
        "adagrad": partial(optax.scale_by_rss, ADAGRAD_START, ADAGRAD_EPS),
        "adam": optax.scale_by_adam,
        "adamw": lambda: optax.chain(optax.scale_by_adam(), optax.add_decayed_weights(decay)),
    }
    return rules[optimizer]()


@partial(jax.jit, static_argnames="structure", donate_argnames="carry")
def run_batches(structure: Structure, carry: Carry, batches: Batch, constants: Constants) -> tuple[Carry, Any]:
    """One step per batch (all arrays of `batches` begin with the number of batches), and the sum of the losses."""

    def step(carry: Carry, batch: Batch) -> tuple[Carry, Any]:
        return one_step(structure, carry, batch, constants)

    carry, total = jax.lax.scan(step, carry, batches)
    return carry, total.sum()


def one_step(structure: Structure, carry: Carry, batch: Batch, constants: Constants) -> tuple[Carry, Any]:
    """Step the rows of one batch by the gradient of the sum over its examples; also the sum of their losses."""
    user_ids, user_at = _distinct(batch["user"], len(carry.users.bias))
    names = [name for name in ITEM_NUMBERS if name in batch]
    item_ids, item_at = _distinct(jnp.concatenate([batch[name].ravel() for name in names]), len(carry.items.bias))
    ends = np.cumsum([batch[name].size for name in names])[:-1]
    places = {name: at.reshape(batch[name].shape) for name, at in zip(names, jnp.split(item_at, ends), strict=True)}

    def cost(rows: tuple[Table, Table]) -> tuple[Any, Any]:
        return batch_cost(structure, *rows, user_at, places, batch, constants)

    rows = _gather(carry.users, user_ids), _gather(carry.items, item_ids)
    gradient, loss = jax.grad(cost, has_aux=True)(rows)
    rule, rate = update_rule(structure.optimizer, constants.decay), batch["rate"][0]
    users, user_state, items, item_state = carry.users, carry.user_state, carry.items, carry.item_state
    if structure.user_vector == "own":
        users, user_state = _descend(rule, users, user_state, user_ids, rows[0], gradient[0], rate)
    if not structure.fix_items:
        items, item_state = _descend(rule, items, item_state, item_ids, rows[1], gradient[1], rate)
    return Carry(users, items, user_state, item_state), loss


def _distinct(ids: Int32[Array, " ids"], n_rows: int) -> tuple[Int32[Array, " ids"], Int32[Array, " ids"]]:
    """The distinct ids in ascending order, padded with `n_rows`, and the place of each; −1 counts as padding."""
    known = jnp.where(ids < 0, n_rows, ids)
    distinct = jnp.unique(known, size=len(ids), fill_value=n_rows)
    return distinct, jnp.searchsorted(distinct, known)


def _gather(state: Any, ids: Int32[Array, " ids"]) -> Any:
    """The rows of every table in `state`; single numbers, such as counts of steps, stay."""
    return jax.tree.map(lambda leaf: leaf.at[ids].get(mode="fill", fill_value=0) if leaf.ndim else leaf, state)


def _scatter(state: Any, ids: Int32[Array, " ids"], rows: Any) -> Any:
    return jax.tree.map(lambda leaf, new: leaf.at[ids].set(new, mode="drop") if leaf.ndim else new, state, rows)


def _descend(
    rule: optax.GradientTransformation, table: Table, state: Any, ids: Any, rows: Table, gradient: Table, rate: Any
) -> tuple[Table, Any]:
    updates, new_state = rule.update(gradient, _gather(state, ids), rows)
    new_rows = jax.tree.map(lambda row, update: row - rate * update, rows, updates)
    return _scatter(table, ids, new_rows), _scatter(state, ids, new_state)


def batch_cost(
    structure: Structure,
    users: Table,
    items: Table,
    user_at: Int32[Array, " batch"],
    places: Mapping[str, Array],
    batch: Batch,
    constants: Constants,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """The sum over the examples of their losses and of `½ λ (‖u‖² + ‖v‖²)`, biases included, for each pair used.

    `users` and `items` are the gathered rows, `user_at` and `places` where in them each number of the batch stands.
    Also the sum of the losses alone.
    """
    u, user_bias = _user_rows(structure, users, items, user_at, places, batch)
    has_biases = jnp.float32(structure.use_biases)
    names = [name for name in ("positives" if "positives" in batch else "item", "negatives") if name in batch]
    ids, pairs = (jnp.column_stack([arrays[name] for name in names]) for arrays in (batch, places))
    dots = jnp.einsum("bd,bkd->bk", u, items.factors[pairs])
    scores = constants.offset + dots + has_biases * (user_bias[:, None] + items.bias[pairs])
    n_positives = pairs.shape[1] - (batch["negatives"].shape[1] if "negatives" in batch else 0)
    chosen = losses.kth_positive(jax.lax.stop_gradient(scores[:, :n_positives]), structure.order)
    positive = (scores[:, :n_positives] * chosen).sum(1)
    if structure.in_batch:
        rows, bias = items.factors[places["item"]], items.bias[places["item"]]
        others = constants.offset + u @ rows.T + has_biases * (user_bias[:, None] + bias)
        allowed = batch["allowed"]
    else:
        others, allowed = scores[:, n_positives:], ids[:, n_positives:] >= 0
    loss, used = _loss_of(structure, positive, others, allowed, batch, constants)
    used = jnp.column_stack([chosen & used[:, :1], used[:, 1:]])[:, : pairs.shape[1]]
    norms = (items.factors[pairs] ** 2).sum(2) + has_biases * items.bias[pairs] ** 2
    penalty = (used * constants.item_reg[ids] * norms).sum(1)
    if structure.user_vector == "own":
        own = (u**2).sum(1) + has_biases * user_bias**2
        penalty += used.sum(1) * constants.user_reg[batch["user"]] * own
    is_there = batch["user"] >= 0
    return (is_there * (loss + penalty / 2)).sum(), (is_there * loss).sum()


def _user_rows(
    structure: Structure, users: Table, items: Table, user_at: Any, places: Mapping[str, Array], batch: Batch
) -> tuple[Float[Array, "batch d"], Float[Array, " batch"]]:
    """The users' own vectors and biases, or the means over drawn items of theirs, the positives left out."""
    if structure.user_vector == "own":
        return jnp.asarray(users.factors)[user_at], jnp.asarray(users.bias)[user_at]
    positives = batch.get("positives", batch["item"][:, None])
    is_positive = (batch["history"][:, :, None] == positives[:, None, :]).any(2)
    known = ((batch["history"] >= 0) & ~is_positive)[:, :, None]
    total = (known * items.factors[places["history"]]).sum(1)
    return total / jnp.maximum(known.sum(1), 1), jnp.zeros(len(total))


def _loss_of(
    structure: Structure, positive: Array, negatives: Array, allowed: Array, batch: Batch, constants: Constants
) -> losses.Result:
    if structure.loss == "squared":
        value = losses.into_range(positive, constants.low, constants.high) if structure.is_sigmoid else positive
        return losses.squared(value, negatives, allowed, batch["value"])
    if structure.loss == "warp":
        return losses.warp(positive, negatives, allowed, constants.rank_weight)
    if structure.loss == "softmax":
        ids = jnp.broadcast_to(batch["item"], allowed.shape) if structure.in_batch else batch["negatives"]
        log_q = constants.log_q[ids], constants.positive_log_q[batch["item"]]
        return losses.softmax(positive, negatives, allowed, log_q[1], log_q[0], constants.temperature)
    return {"logistic": losses.logistic, "bpr": losses.bpr}[structure.loss](positive, negatives, allowed)
