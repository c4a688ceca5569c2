"""Two ways to take the same steps over sampled pairs: compiled, one example at a time, or in batches by JAX.

Both draw for themselves, from the seed, the epoch and each row's place in it, and so draw alike.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32, Int32, Int64

from recsys_pipeline.core.learning.sampled.batches import Carry, Constants, Structure, run_batches, update_rule
from recsys_pipeline.core.learning.sampled.draws import (
    HISTORY,
    NEGATIVES,
    POSITIVES,
    draw_items,
    in_batch_candidates,
    stream_key,
)
from recsys_pipeline.core.learning.sampled.kernels import ADAGRAD_START, LOSSES, take_steps
from recsys_pipeline.core.learning.sampled.problem import Factors, Problem, Table
from recsys_pipeline.core.learning.sampled.settings import SampledMfConfig
from recsys_pipeline.core.ratings import Ratings


class Visits(NamedTuple):
    """The rows of an epoch in order, and each one's place in the streams of draws."""

    row: Int64[np.ndarray, " rows"]
    place: Int64[np.ndarray, " rows"]


@runtime_checkable
class Steps(Protocol):
    """A way to take steps; it holds the factors meanwhile."""

    def take(self, ratings: Ratings, visits: Visits, epoch: int, rate: Float32[np.ndarray, " steps"]) -> float:
        """Step over these rows, and return the sum of their losses."""
        ...

    def factors(self) -> Factors:
        """As they are now."""
        ...


class KernelSteps:
    """One example at a time, compiled; see `sampled/kernels.py`."""

    def __init__(
        self, start: Factors, problem: Problem, config: SampledMfConfig, seed: int, fix_items: bool, wants_loss: bool
    ) -> None:
        self._problem, self._config, self._seed = problem, config, seed
        self._fix_items, self._wants_loss = fix_items, wants_loss
        self._users = _side(start.users, problem.user_reg, config)
        self._items = _side(start.items, problem.item_reg, config)

    def take(self, ratings: Ratings, visits: Visits, epoch: int, rate: Float32[np.ndarray, " steps"]) -> float:
        """One step per row."""
        config, facts = self._config, self._problem.facts
        user = ratings.user[visits.row]
        key = stream_key(self._seed, NEGATIVES, epoch)
        negatives = self._problem.sampler.draw(user, visits.place, config.drawn_per_example, key)
        problem, numbers = self._problem, map(np.float32, (config.temperature, facts.low, facts.high))
        temperature, low, high = numbers
        total = take_steps(
            LOSSES[config.loss], user, ratings.item[visits.row], _targets(ratings, visits.row, config), negatives, rate,
            *self._users, *self._items,
            np.float32(facts.offset), problem.log_q, temperature, problem.rank_weight, low, high,
            np.float32(config.use_biases), self._fix_items, self._wants_loss,
        )  # fmt: skip
        return float(total)

    def factors(self) -> Factors:
        """The arrays that are stepped, not copies."""
        return Factors(*(Table(side.factors, side.bias) for side in (self._users, self._items)))


class _Side(NamedTuple):
    factors: np.ndarray
    bias: np.ndarray
    reg: np.ndarray
    squares: np.ndarray | None
    bias_squares: np.ndarray | None


def _side(table: Table, reg: np.ndarray, config: SampledMfConfig) -> _Side:
    """Copies to step, the penalties, and the sums of squared gradients where Adagrad needs them."""
    factors, bias = table.factors.copy(), table.bias.copy()
    if config.optimizer == "sgd":
        return _Side(factors, bias, reg, None, None)
    return _Side(factors, bias, reg, np.full_like(factors, ADAGRAD_START), np.full_like(bias, ADAGRAD_START))


class BatchSteps:
    """Mini-batches in JAX; see `sampled/batches.py`."""

    def __init__(self, start: Factors, problem: Problem, config: SampledMfConfig, seed: int, fix_items: bool) -> None:
        self._problem, self._config, self._seed = problem, config, seed
        self._structure = Structure.of(config, fix_items)
        facts, rule = problem.facts, update_rule(config.optimizer, config.reg)
        users, items = (jax.tree.map(jnp.array, table) for table in start)
        self._carry = Carry(users, items, rule.init(users), rule.init(items))
        self._constants = Constants(
            facts.offset,
            facts.low,
            facts.high,
            config.temperature,
            config.reg,
            problem.user_reg,
            problem.item_reg,
            problem.positive_log_q,
            problem.log_q,
            problem.rank_weight,
        )

    def take(self, ratings: Ratings, visits: Visits, epoch: int, rate: Float32[np.ndarray, " steps"]) -> float:
        """One step per batch; the last one may be short."""
        columns = {"user": ratings.user[visits.row], "item": ratings.item[visits.row]}
        columns |= {"value": _targets(ratings, visits.row, self._config), **dict(self._draws(columns, visits, epoch))}
        size, n = self._config.batch_size, len(visits.row)
        padding = -n % size
        batches = {
            name: np.pad(column, [(0, padding), *[(0, 0)] * (column.ndim - 1)], constant_values=-1).reshape(
                -1, size, *column.shape[1:]
            )
            for name, column in columns.items()
        }
        if self._config.in_batch:
            batches["allowed"] = self._allowed(batches["user"].ravel(), batches["item"].ravel())
        batches["rate"] = rate[:, None]
        self._carry, total = run_batches(self._structure, self._carry, batches, self._constants)
        return float(total)

    def _draws(
        self, columns: dict[str, Any], visits: Visits, epoch: int
    ) -> Iterator[tuple[str, Int32[np.ndarray, "..."]]]:
        config, problem, user = self._config, self._problem, columns["user"]
        if config.drawn_per_example:
            key = stream_key(self._seed, NEGATIVES, epoch)
            yield "negatives", problem.sampler.draw(user, visits.place, config.drawn_per_example, key)
        if config.n_positives > 1:
            key = stream_key(self._seed, POSITIVES, epoch)
            others = draw_items(user, visits.place, config.n_positives - 1, problem.owned, key)
            yield "positives", np.column_stack([columns["item"], others])
        if config.user_vector == "mean":
            key = stream_key(self._seed, HISTORY, epoch)
            yield "history", draw_items(user, visits.place, config.history_size, problem.owned, key)

    def _allowed(self, user: Int32[np.ndarray, " rows"], item: Int32[np.ndarray, " rows"]) -> np.ndarray:
        n_items, config = len(self._problem.item_reg), self._config
        return in_batch_candidates(
            user, item, self._problem.owned, n_items, config.batch_size, config.exclude_positives
        )

    def factors(self) -> Factors:
        """Copied from the device."""
        tables = ((table.factors, table.bias) for table in (self._carry.users, self._carry.items))
        return Factors(*(Table(*(np.array(array) for array in table)) for table in tables))


def _targets(ratings: Ratings, rows: np.ndarray, config: SampledMfConfig) -> Float32[np.ndarray, " rows"]:
    if config.target == "value":
        return ratings.value[rows]
    return np.ones(len(rows), np.float32)
