"""Rating models by alternating conditionals: Bayesian by Gibbs sampling, or a mode of the same posterior.

A rating is normal with precision τ around

    p·q + b + c + t,    [p, b] ~ N(m + w_u Σ_j∈N(u) y_j, Λ⁻¹),    [q, c] ~ N(m' + w_i Σ_u∈N(i) s_u, Λ'⁻¹)

where N(u) are the items that the user rated, `w = |N|^-½`, and t are time bins (`gibbs/time.py`). The sum over N(u) is
the implicit history of SVD++ (Koren, KDD 2008, equation 15), that over N(i) its flipped twin (Rendle, Zhang and Koren,
"On the difficulty of evaluating baselines", 2019); either may be left out, and without both this is Bayesian matrix
factorisation (Salakhutdinov and Mnih, ICML 2008) with one precision per dimension. The history stands in the prior of
the rows, as side information does in Macau (Simm et al., 2017): the model is the same as with the sum in the score, but
`y` given the rows is free of the ratings, and the rows keep their closed form.

One sweep draws: items' hyperparameters, history and rows; users' hyperparameters, history and rows; time bins; τ.
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int32, Int64
from scipy import sparse

from recsys_pipeline.core.learning.gibbs.conditionals import Conditionals, Hyper
from recsys_pipeline.core.learning.gibbs.kernels import Prior, RowRatings, Rows, draw_history, draw_rows, residuals
from recsys_pipeline.core.learning.gibbs.time import NO_BINS, BinDraws, BinEffects, BinSettings, TimeBins
from recsys_pipeline.core.learning.user_histories import history_matrix
from recsys_pipeline.core.ratings import Ratings

Table = Float32[np.ndarray, "rows k"]
Target = Float32[np.ndarray, " n"]

START_DEVIATION = 0.3
"""Of a whole item vector: the first rows are hardly more than biases, but not 0, where the model would stay."""


@dataclass(frozen=True)
class Terms:
    """What a rating is made of, beside the vectors and biases of its user and its item."""

    embedding_size: int
    user_history: bool = False
    item_history: bool = False
    bins: BinSettings = NO_BINS


class Ids(NamedTuple):
    """The ratings' ids on one side, and on the other."""

    row: Int32[np.ndarray, " n"]
    column: Int32[np.ndarray, " n"]


class History(NamedTuple):
    """Who rated what, as the prior of the rows needs it."""

    matrix: sparse.csr_array
    """`[rows, columns]` of ones."""
    weight: Float32[np.ndarray, " rows"]
    """`|N|^-½`; 0 for rows without a history."""

    @classmethod
    def of(cls, matrix: sparse.csr_array) -> "History":
        """The history of a matrix of ones."""
        count = np.diff(matrix.indptr)
        return cls(matrix, np.where(count > 0, 1 / np.sqrt(np.maximum(count, 1)), 0).astype(np.float32))

    def explained(self, vectors: Float32[np.ndarray, "columns k"]) -> Table:
        """`w Σ_j y_j` of each row."""
        return self.weight[:, None] * (self.matrix @ vectors)


class ByRow(NamedTuple):
    """The ratings of one side in the order of its rows."""

    order: Int64[np.ndarray, " n"]
    starts: Int64[np.ndarray, " rows_and_end"]
    column: Int32[np.ndarray, " n"]

    @classmethod
    def of(cls, ids: Ids, n_rows: int) -> "ByRow":
        """Sort by row; ratings of one row keep their order."""
        order = np.argsort(ids.row, kind="stable")
        starts = np.concatenate([[0], np.cumsum(np.bincount(ids.row, minlength=n_rows))]).astype(np.int64)
        return cls(order, starts, ids.column[order])

    @property
    def count(self) -> Int64[np.ndarray, " rows"]:
        """Ratings per row."""
        return np.diff(self.starts)

    @property
    def mean_count(self) -> float:
        """Ratings per row that has any; 1 without ratings."""
        return len(self.order) / max(int((self.count > 0).sum()), 1) or 1.0

    def ratings(self, target: Target) -> RowRatings:
        """What the kernels take; `target` is in the order of the training set."""
        return RowRatings(self.starts, self.column, target[self.order])


class Side:
    """One table, its history vectors and its prior: the part of the chain's state that one side has."""

    def __init__(self, ids: Ids, matrix: sparse.csr_array, k: int, with_history: bool, by: Conditionals) -> None:
        n_rows, n_columns = len(matrix.indptr) - 1, int(matrix.shape[1])  # pyright: ignore[reportOptionalSubscript]
        self.by_row, self.by = ByRow.of(ids, n_rows), by
        self.seen = self.by_row.count > 0
        self.scale = by.row_scale(self.by_row.count, self.by_row.mean_count)
        self.history = History.of(matrix) if with_history else None
        self.by_column = sparse.csr_array(matrix.T) if with_history else None
        self.rows = np.zeros((n_rows, k), np.float32)
        self.vectors = np.zeros((n_columns if with_history else 0, k), np.float32)
        self.prior = by.hyper(self.rows[:0])._replace(mean=np.zeros(k, np.float32))

    def explained(self) -> Table:
        """What the history adds to the prior mean of each row."""
        return np.zeros_like(self.rows) if self.history is None else self.history.explained(self.vectors)

    def draw_prior(self) -> None:
        """Hyperparameters, then history vectors, given the rows."""
        explained = self.explained()
        self.prior = self.by.hyper((self.rows - explained)[self.seen])
        if self.history is None or self.by_column is None:
            return
        draw_history(
            self.by_column.indptr.astype(np.int64),
            self.by_column.indices.astype(np.int32),
            self.history.weight,
            self.rows - self.prior.mean - explained,
            self.prior.precision,
            self.scale,
            self.vectors,
            self.by.history_precision(self.vectors),
            self.by.normals(self.vectors.shape),
        )

    def draw_rows(self, target: Target, other: Table, tau: float) -> Rows:
        """The rows, given the other side and the prior."""
        prior = Prior(self.prior.mean + self.explained(), self.prior.precision, self.scale)
        found = draw_rows(self.by_row.ratings(target), other, prior, tau, self.by.normals(self.rows.shape))
        self.rows = found.draw
        return found


@dataclass(frozen=True)
class State:
    """One joint draw of all that is unknown, with the users' conditional means given the rest."""

    users: Rows
    items: Float32[np.ndarray, "items k"]
    """Rows `[q, c]`; where an item has no rating, their prior mean."""
    user_prior: Hyper
    item_prior: Hyper
    user_vectors: Float32[np.ndarray, "items_or_none k"]
    """`y`, one row per item; none where users have no history."""
    noise_precision: float
    bins: tuple[BinEffects, ...]
    rmse: float
    """Of this draw, on the training rows."""


class Sampler:
    """A chain over centred values of about unit variance."""

    def __init__(self, train: Ratings, values: Target, terms: Terms, by: Conditionals, generator: np.random.Generator):
        matrix, k = history_matrix(train), terms.embedding_size + 1
        self.values, self.by = values, by
        self.users = Side(Ids(train.user, train.item), matrix, k, terms.user_history, by)
        self.items = Side(Ids(train.item, train.user), sparse.csr_array(matrix.T), k, terms.item_history, by)
        self.bins = tuple(BinDraws(keys, by) for keys in TimeBins.over(train, terms.bins).keys(train))
        self.noise_precision = by.noise_precision(float(np.square(values).sum()), len(values))
        start = generator.standard_normal((train.n_items, k - 1)) * (START_DEVIATION / np.sqrt(k - 1))
        self.items.rows[:, :-1] = start
        self.users.draw_rows(values, self.items.rows, self.noise_precision)

    def sweep(self) -> State:
        """One pass over all conditionals."""
        target, tau = self.values - self.bin_effects(), self.noise_precision
        self.items.draw_prior()
        self.items.draw_rows(target, self.users.rows, tau)
        self.users.draw_prior()
        users = self.users.draw_rows(target, self.items.rows, tau)
        # The users' means are given these bins and this τ: the state holds them, and not what is drawn below.
        items = np.where(self.items.seen[:, None], self.items.rows, self.items.prior.mean)
        bins = tuple(bins.effects() for bins in self.bins)
        error = self.draw_bins(self.error(target))
        squared = float(np.square(error, dtype=np.float64).sum())
        self.noise_precision = self.by.noise_precision(squared, len(error))
        rmse = float(np.sqrt(squared / len(error))) if len(error) else 0.0
        vectors = self.users.vectors.copy()
        return State(users, items, self.users.prior, self.items.prior, vectors, tau, bins, rmse)

    def error(self, target: Target) -> Target:
        """What rows and biases leave of `target`."""
        error = np.empty_like(target)
        by_row = self.users.by_row
        error[by_row.order] = residuals(by_row.ratings(target), self.users.rows, self.items.rows)
        return error

    def bin_effects(self) -> Target:
        """What the time bins add to each rating."""
        return sum((bins.of_rows() for bins in self.bins), np.zeros_like(self.values))

    def draw_bins(self, error: Target) -> Target:
        """Draw each kind of time bin; returns what they leave of `error`, which was made under the earlier bins."""
        for bins in self.bins:
            free = error + bins.of_rows()
            bins.draw(free, self.noise_precision)
            error = free - bins.of_rows()
        return error


@dataclass(frozen=True)
class Schedule:
    """Which sweeps of a chain are kept: `samples` of them, `thin` sweeps apart, after `burn_in` sweeps."""

    burn_in: int
    samples: int
    thin: int

    @property
    def n_sweeps(self) -> int:
        """All of them."""
        return self.burn_in + self.samples * self.thin


def run_chain(sampler: Sampler, schedule: Schedule) -> Iterator[tuple[State, bool]]:
    """The state after each sweep, and whether it is kept."""
    for number in range(1, schedule.n_sweeps + 1):
        yield sampler.sweep(), number > schedule.burn_in and (number - schedule.burn_in) % schedule.thin == 0


def in_rating_units(state: State, mean: float, unit: float) -> State:
    """The state of a chain over `(value − mean) / unit`, for the values themselves: `p` stays, all else is scaled."""
    bias = np.ones(state.items.shape[1], np.float32)
    bias[-1] = unit
    items = state.items * np.float32(unit)
    items[:, -1] += np.float32(mean)
    return dataclasses.replace(
        state,
        users=Rows(state.users.mean * bias, state.users.draw * bias),
        items=items,
        user_prior=Hyper(state.user_prior.mean * bias, state.user_prior.precision / bias**2),
        item_prior=Hyper(state.item_prior.mean * np.float32(unit), state.item_prior.precision / np.float32(unit**2)),
        user_vectors=state.user_vectors * bias,
        noise_precision=state.noise_precision / unit**2,
        bins=tuple(BinEffects(bins.keys, bins.values * np.float32(unit)) for bins in state.bins),
        rmse=state.rmse * unit,
    )
