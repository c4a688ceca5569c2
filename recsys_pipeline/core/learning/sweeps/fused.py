"""Trials of models of interactions; those of regularised matrix factorisation, and their folds, as one program.

Trials of one embedding size are lanes of the same batches, whatever else differs between them (regularisation,
gravity, biases, half-life, target, epochs), and so are the folds of each. Batches are trained up to the next rung or
last epoch of any trial, judged, and repacked without the trials that ended. Trials that cannot be lanes (another
solver, another model) are fitted alone.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np
from jaxtyping import Float32, Int32

from recsys_pipeline.core.errors import ModelError
from recsys_pipeline.core.folds import Split
from recsys_pipeline.core.learning.factorization.objective import Objective
from recsys_pipeline.core.learning.sweeps.fused_cpu import CpuBatch
from recsys_pipeline.core.learning.sweeps.fused_jax import JaxBatch
from recsys_pipeline.core.learning.sweeps.fused_kernels import LANES
from recsys_pipeline.core.learning.sweeps.fused_lanes import Lane, LaneBatch, LaneData, LaneState, lane_weight
from recsys_pipeline.core.learning.sweeps.successive_halving import Halving
from recsys_pipeline.core.learning.sweeps.sweep import Outcome, Proposal, outcome_of
from recsys_pipeline.core.ratings import Ratings


@runtime_checkable
class FactorizationConfig(Protocol):
    """What a config must have for its trials to be trained together; `models/als.py` has it."""

    embedding_size: int
    epochs: int
    half_life_days: float
    inverse_frequency: float
    target: Any
    solver: Any

    def objective(self) -> Objective:
        """The weights of the objective."""
        ...


class FactorModel:
    """Vectors whose dot product is the score: what a trial is judged by."""

    def __init__(
        self,
        user_vectors: Float32[np.ndarray, "users dim"],
        item_vectors: Float32[np.ndarray, "items dim"],
        predicts_values: bool,
    ) -> None:
        self.predicts_values = predicts_values
        self._user_vectors, self._item_vectors = user_vectors, item_vectors

    def user_vectors(self) -> Float32[np.ndarray, "users dim"]:
        """`[u, b_u, 1]` per user."""
        return self._user_vectors

    def item_vectors(self) -> Float32[np.ndarray, "items dim"]:
        """`[v, 1, c_i + μ]` per item."""
        return self._item_vectors

    def scores(self, users: Int32[np.ndarray, " batch"]) -> Float32[np.ndarray, "batch items"]:
        """The dot products of the users' vectors with all items'."""
        return self._user_vectors[users] @ self._item_vectors.T


Judge = Callable[[Any, Ratings, Ratings], Mapping[str, float]]
"""`judge(model, train, validation) -> metrics`; the model has `scores`, `user_vectors` and `item_vectors`."""


@dataclass(frozen=True)
class FusedTrials:
    """Runs the trials of a sweep on the folds of one data set: the `RunTrials` of `run_batches`.

    With more than one split, a trial's metrics are means over the splits, and `<metric>_min` and `<metric>_max` stand
    beside them. A trial that breaks on one fold has failed. Memory: eight lanes hold their ratings' weights twice
    (64 bytes a rating, nothing where all weights are 1), and each lane its vectors.
    """

    ratings: Ratings
    splits: Sequence[Split]
    seed: int
    metric: str
    judge: Judge
    fit_alone: Callable[[Ratings, Any, int], Any]
    """`fit(train, config, seed) -> model`, for trials that cannot be lanes."""

    def __call__(self, proposals: Sequence[Proposal], halving: Halving | None) -> Iterator[Mapping[int, Outcome]]:
        """Train and judge; outcomes come group by group."""
        folds = _Folds(self)
        groups: dict[int, list[Proposal]] = {}
        for proposal in proposals:
            if can_fuse(proposal.config):
                groups.setdefault(proposal.config.embedding_size, []).append(proposal)
        for size, group in groups.items():
            yield _Group(self, folds, size, group, halving).run()
        for proposal in proposals:
            if not can_fuse(proposal.config):
                yield {proposal.number: outcome_of(lambda one=proposal: self._alone(one, folds))}

    def _alone(self, proposal: Proposal, folds: "_Folds") -> dict[str, float]:
        found = []
        for train, validation in folds.parts:
            model = self.fit_alone(train, proposal.config, self.seed)
            found.append(self.judge(model, train, validation))
        return over_folds(found)


def can_fuse(config: Any) -> bool:
    """Whether a config's trials can be lanes: exact alternating least squares, the steps that lanes take.

    Ways that go on from where a row was (`cg`, `subspace`) take other steps, and are fitted alone: a trial must be what
    the daily model will be.
    """
    return isinstance(config, FactorizationConfig) and config.solver == "als"


def over_folds(metrics: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Each metric's mean over the folds, with its least and largest value where there are several folds.

    >>> over_folds([{"rmse": 0.9}, {"rmse": 1.0}])
    {'rmse': 0.95, 'rmse_min': 0.9, 'rmse_max': 1.0}
    """
    if len(metrics) == 1:
        return dict(metrics[0])
    figures: dict[str, float] = {}
    for name in metrics[0]:
        values = [fold.get(name, math.nan) for fold in metrics]
        figures |= {name: float(np.mean(values)), f"{name}_min": min(values), f"{name}_max": max(values)}
    return figures


class _Folds:
    """Train and validation rows of every split, and the data that lanes share."""

    def __init__(self, trials: FusedTrials) -> None:
        self.splits = trials.splits
        self._ratings = trials.ratings
        self.parts = [(trials.ratings.take(split.train), trials.ratings.take(split.test)) for split in trials.splits]
        self._weights: dict[tuple[int, float, float], np.ndarray] = {}

    @cached_property
    def data(self) -> LaneData:
        """What lanes share, where there are any."""
        return LaneData(self._ratings)

    def lane(self, config: Any, fold: int) -> Lane:
        """The lane of a config on a fold; lanes share the weights that they have in common."""
        key = fold, config.half_life_days, config.inverse_frequency
        if key not in self._weights:
            self._weights[key] = lane_weight(self.data.ratings, self.splits[fold].train, *key[1:])
        return Lane(config.objective(), self._weights[key], config.target == "value")


@dataclass
class _Fit:
    """One lane's place: which trial on which fold, in which batch."""

    proposal: Proposal
    fold: int
    lane: Lane
    batch: LaneBatch
    place: int


@dataclass
class _Group:
    """Trials of one embedding size on all folds."""

    trials: FusedTrials
    folds: _Folds
    embedding_size: int
    proposals: list[Proposal]
    halving: Halving | None
    fits: list[_Fit] = field(default_factory=list)
    rungs: dict[int, dict[int, float]] = field(default_factory=dict)
    outcomes: dict[int, Outcome] = field(default_factory=dict)

    def run(self) -> dict[int, Outcome]:
        """Outcomes by number."""
        self.rungs = {proposal.number: {} for proposal in self.proposals}
        self._start()
        epoch = 0
        while self.fits:
            due = min(self._next_stop(fit.proposal, epoch) for fit in self.fits)
            for batch in {id(fit.batch): fit.batch for fit in self.fits}.values():
                batch.advance(due - epoch)
            epoch = due
            self._judge_at(epoch)
            self._repack()
        return self.outcomes

    def _start(self) -> None:
        cells = [(proposal, fold) for fold in range(len(self.folds.splits)) for proposal in self.proposals]
        for some in _packed(cells, lambda cell: cell[1]):
            lanes = [self.folds.lane(proposal.config, fold) for proposal, fold in some]
            batch = _batch_kind().start(self.folds.data, lanes, self.embedding_size, self.trials.seed)
            for place, ((proposal, fold), lane) in enumerate(zip(some, lanes, strict=True)):
                self.fits.append(_Fit(proposal, fold, lane, batch, place))

    def _stops(self, proposal: Proposal) -> list[int]:
        epochs = proposal.config.epochs
        return [*(self.halving.rule.rungs(epochs) if self.halving else ()), epochs]

    def _next_stop(self, proposal: Proposal, epoch: int) -> int:
        return next((stop for stop in self._stops(proposal) if stop > epoch), epoch)

    def _judge_at(self, epoch: int) -> None:
        """Judge every trial that stops here, for a while or for good."""
        alive = {fit.proposal.number: fit.proposal for fit in self.fits}
        here = {number: one for number, one in alive.items() if epoch in self._stops(one)}
        found = {number: outcome_of(lambda one=one: self._judged(one)) for number, one in here.items()}
        compared = {number for number, one in here.items() if epoch < one.config.epochs and not found[number].error}
        for number in compared:
            self.rungs[number][epoch] = found[number].metrics.get(self.trials.metric, math.nan)
        told = {number: {"epoch": epoch, **found[number].metrics} for number in here if found[number].metrics}
        ended = {number for number, metrics in told.items() if not here[number].report(metrics)}
        going_on = self._going_on(epoch, compared) - ended
        for number in here:
            if number not in going_on:
                metrics, error = found[number].metrics, found[number].error
                self._end(number, Outcome(metrics, number in compared, self.rungs[number], error))

    def _going_on(self, rung: int, numbers: set[int]) -> set[int]:
        """Those whose value at the rung is good enough; all values count before any is compared."""
        if self.halving is None:
            return set()
        for number in numbers:
            self.halving.record(rung, self.rungs[number][rung])
        return {number for number in numbers if self.halving.goes_on(rung, self.rungs[number][rung])}

    def _judged(self, proposal: Proposal) -> dict[str, float]:
        metrics = []
        for fit in (fit for fit in self.fits if fit.proposal is proposal):
            left, right = fit.batch.state(fit.place).vectors()
            if not (np.isfinite(left).all() and np.isfinite(right).all()):
                config = proposal.config.objective()
                raise ModelError(
                    f"als did not stay finite with reg {config.reg} and bias_reg {config.bias_reg}: raise them"
                )
            model = FactorModel(left, right, predicts_values=proposal.config.target == "value")
            metrics.append(self.trials.judge(model, *self.folds.parts[fit.fold]))
        return over_folds(metrics)

    def _end(self, number: int, outcome: Outcome) -> None:
        self.outcomes[number] = outcome
        self.fits = [fit for fit in self.fits if fit.proposal.number != number]

    def _repack(self) -> None:
        """Fewer batches, where the lanes of ended trials make room for it."""
        packed = _packed(self.fits, lambda fit: fit.fold)
        if len(packed) >= len({id(fit.batch) for fit in self.fits}):
            return
        for some in packed:
            states: list[LaneState] = [fit.batch.state(fit.place) for fit in some]
            batch = _batch_kind().resume(self.folds.data, [fit.lane for fit in some], states)
            for place, fit in enumerate(some):
                fit.batch, fit.place = batch, place


def _packed(cells: Sequence[Any], fold_of: Callable[[Any], int]) -> list[list[Any]]:
    """Cells, `LANES` at a time; those of a fold by themselves, unless that makes more than a quarter more batches.

    A batch skips the ratings that none of its lanes learns from, and weights where all lanes learn from the same: of
    five folds, a batch of one costs about 0.7 of a batch of several.
    """
    folds: dict[int, list[Any]] = {}
    for cell in cells:
        folds.setdefault(fold_of(cell), []).append(cell)
    apart = [own[first : first + LANES] for own in folds.values() for first in range(0, len(own), LANES)]
    mixed = [list(cells[first : first + LANES]) for first in range(0, len(cells), LANES)]
    return apart if len(apart) <= 1.25 * len(mixed) else mixed


def _batch_kind() -> type[CpuBatch] | type[JaxBatch]:
    """The faster of the two where this process runs."""
    return CpuBatch if jax.default_backend() == "cpu" else JaxBatch
