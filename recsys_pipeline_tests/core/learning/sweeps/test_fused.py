"""Trials trained together against the same trials trained alone, and early stopping among them."""

import dataclasses
import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pytest

from recsys_pipeline.core.folds import Split
from recsys_pipeline.core.folds.k_fold import k_fold
from recsys_pipeline.core.learning.factorization.objective import Objective
from recsys_pipeline.core.learning.sweeps.fused import FusedTrials, over_folds
from recsys_pipeline.core.learning.sweeps.fused_cpu import CpuBatch
from recsys_pipeline.core.learning.sweeps.fused_jax import JaxBatch
from recsys_pipeline.core.learning.sweeps.fused_kernels import LANES
from recsys_pipeline.core.learning.sweeps.fused_lanes import Lane, LaneBatch, LaneData, lane_weight
from recsys_pipeline.core.learning.sweeps.successive_halving import EarlyTermination, Halving
from recsys_pipeline.core.learning.sweeps.sweep import Outcome, Proposal
from recsys_pipeline.core.models import als
from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline.core.reports.accuracy.validation import validation_metrics

TOLERANCE = 1e-4
"""Scores are of order 1 to 5; sums in float32 are taken in another order."""

VALUES = als.AlsConfig(
    embedding_size=3, reg=0.05, gravity=0.0, frequency_power=0.6, bias_reg=0.03, use_user_bias=True,
    use_item_bias=True, use_global_bias=True, target="value", half_life_days=0.0, epochs=3, solver="als",
)  # fmt: skip
RANKING = als.AlsConfig(embedding_size=3, reg=0.04, gravity=2.0, half_life_days=5.0, epochs=3, solver="als")
CONFIGS = [
    VALUES,
    RANKING,
    dataclasses.replace(VALUES, gravity=0.4, half_life_days=2.0, use_user_bias=False),
    dataclasses.replace(RANKING, use_global_bias=True, use_item_bias=False, half_life_days=0.0, inverse_frequency=0.5),
]


def some_ratings(n: int = 240, seed: int = 0) -> Ratings:
    """Random values over ten days; some users and items have no rating, and one user has very many."""
    generator = np.random.default_rng(seed)
    user = (generator.random(n) ** 3 * 17).astype(np.int32)
    item = generator.integers(0, 12, n).astype(np.int32)
    instants = generator.integers(0, 10 * 86_400_000_000, n)
    return Ratings(user, item, generator.integers(1, 6, n).astype(np.float32), instants, 19, 14)


RATINGS = some_ratings()
FOLDS = k_fold(RATINGS, 3, seed=1)


def lanes_of(configs: list[als.AlsConfig], splits: list[Split]) -> list[Lane]:
    return [
        Lane(
            config.objective(),
            lane_weight(RATINGS, split.train, config.half_life_days, config.inverse_frequency),
            config.target == "value",
        )
        for config, split in zip(configs, splits, strict=True)
    ]


def scores(batch: LaneBatch, lane: int) -> np.ndarray:
    left, right = batch.state(lane).vectors()
    return left @ right.T


def alone(config: als.AlsConfig, split: Split, seed: int = 5) -> np.ndarray:
    model = als.fit(RATINGS.take(split.train), config, seed)
    return model.user_vectors() @ model.item_vectors().T


@pytest.mark.parametrize("size", [1, 3, 8])
def test_a_lane_is_the_fit_that_it_stands_for(size: int) -> None:
    configs = [dataclasses.replace(config, embedding_size=size) for config in CONFIGS]
    splits = [FOLDS[0], FOLDS[1], FOLDS[0], FOLDS[2]]
    batch = CpuBatch.start(LaneData(RATINGS), lanes_of(configs, splits), size, seed=5)
    batch.advance(3)
    for lane, (config, split) in enumerate(zip(configs, splits, strict=True)):
        np.testing.assert_allclose(scores(batch, lane), alone(config, split), atol=TOLERANCE, err_msg=str(config))


def test_the_kernels_and_their_twin_take_the_same_steps() -> None:
    lanes = lanes_of(CONFIGS, [FOLDS[0], FOLDS[1], FOLDS[0], FOLDS[2]])
    batches = [kind.start(LaneData(RATINGS), lanes, 3, seed=5) for kind in (CpuBatch, JaxBatch)]
    for epochs in (0, 3):
        for batch in batches:
            batch.advance(epochs)
        for lane in range(len(lanes)):
            np.testing.assert_allclose(scores(batches[0], lane), scores(batches[1], lane), atol=TOLERANCE)


def test_a_lane_does_not_depend_on_its_neighbours() -> None:
    lanes = lanes_of(CONFIGS, [FOLDS[0]] * 4)
    broken = Lane(Objective(*[math.nan] * 7), lanes[0].weight, fits_values=True)
    found = []
    for others in (lanes[1:], [broken]):
        batch = CpuBatch.start(LaneData(RATINGS), [lanes[0], *others], 3, seed=5)
        batch.advance(2)
        found.append(scores(batch, 0))
    np.testing.assert_allclose(found[0], found[1], atol=TOLERANCE)


def test_a_resumed_batch_goes_on_where_it_was() -> None:
    lanes = lanes_of(CONFIGS, [FOLDS[0]] * 4)
    for kind in (CpuBatch, JaxBatch):
        whole = kind.start(LaneData(RATINGS), lanes, 3, seed=5)
        whole.advance(1)
        part = kind.resume(LaneData(RATINGS), lanes[1:3], [whole.state(1), whole.state(2)])
        whole.advance(2)
        part.advance(2)
        np.testing.assert_allclose(scores(part, 1), scores(whole, 2), atol=TOLERANCE)


def rmse(model: Any, train: Ratings, validation: Ratings) -> dict[str, float]:  # noqa: ARG001 - a judge's signature
    predicted = model.scores(np.arange(validation.n_users, dtype=np.int32))[validation.user, validation.item]
    return {"rmse": float(np.sqrt(np.mean((predicted - validation.value) ** 2)))}


def run(configs: list[Any], halving: Halving | None = None, **changes: Any) -> dict[int, Outcome]:
    parts = {"ratings": RATINGS, "splits": FOLDS, "seed": 5, "metric": "rmse", "judge": rmse, "fit_alone": als.fit}
    trials = FusedTrials(**(parts | changes))
    outcomes: dict[int, Outcome] = {}
    for some in trials([Proposal(number, {}, config) for number, config in enumerate(configs)], halving):
        outcomes |= some
    return outcomes


def fitted_alone(config: als.AlsConfig) -> Mapping[str, float]:
    parts = [(RATINGS.take(split.train), RATINGS.take(split.test)) for split in FOLDS]
    return over_folds([rmse(als.fit(train, config, 5), train, validation) for train, validation in parts])


MIXED = [
    *CONFIGS,
    dataclasses.replace(VALUES, embedding_size=8, epochs=1),
    dataclasses.replace(VALUES, reg=0.2, epochs=5),
    dataclasses.replace(VALUES, epochs=0),
]


def test_trials_on_folds_are_what_they_are_alone() -> None:
    assert len(MIXED) * len(FOLDS) > 2 * LANES, "several batches, of which some end early"
    found = run(MIXED)
    for number, config in enumerate(MIXED):
        assert found[number].metrics == pytest.approx(fitted_alone(config), abs=TOLERANCE), config
        assert not found[number].stopped


def test_another_solver_is_fitted_alone() -> None:
    fitted: list[als.AlsConfig] = []

    def fit_alone(train: Ratings, config: als.AlsConfig, seed: int) -> als.AlsModel:
        fitted.append(config)
        return als.fit(train, config, seed)

    config = dataclasses.replace(VALUES, solver="cg")
    found = run([VALUES, config], fit_alone=fit_alone)
    assert fitted == [config] * len(FOLDS)
    assert found[1].metrics == pytest.approx(fitted_alone(config), abs=1e-6)


def test_a_stopped_trial_is_the_fit_of_so_many_epochs() -> None:
    configs = [dataclasses.replace(VALUES, reg=reg, epochs=4) for reg in (0.03, 0.1, 0.5, 2.0, 3.0, 9.0)]
    found = run(configs, Halving(EarlyTermination(eta=2.0, min_iter=1), minimise=True))
    reached = {number: max(outcome.rungs) if outcome.stopped else 4 for number, outcome in found.items()}
    assert sorted(reached.values()) == [1, 1, 1, 2, 4, 4]
    for number, epochs in reached.items():
        config = dataclasses.replace(configs[number], epochs=epochs)
        assert found[number].metrics == pytest.approx(fitted_alone(config), abs=TOLERANCE), number
    values = {number: outcome.rungs[1] for number, outcome in found.items()}
    assert max(values[n] for n in reached if reached[n] > 1) <= min(values[n] for n in reached if reached[n] == 1)


def test_steps_are_told_and_a_trial_may_be_stopped_from_outside() -> None:
    told: list[tuple[int, float]] = []

    def report(number: int, metrics: Mapping[str, float | int]) -> bool:
        told.append((number, metrics["epoch"]))
        assert metrics["rmse"] > 0
        return number == 0

    config = dataclasses.replace(VALUES, epochs=3)
    proposals = [Proposal(number, {}, config, report=partial(report, number)) for number in range(2)]
    trials = FusedTrials(RATINGS, FOLDS, 5, "rmse", rmse, als.fit)
    rule = Halving(EarlyTermination(eta=2.0, min_iter=1), minimise=True)
    (found,) = trials(proposals, rule)
    assert [found[number].stopped for number in range(2)] == [False, True]
    assert told == [(0, 1), (1, 1), (0, 2), (0, 3)]


def test_gravity_may_be_swept_for_values() -> None:
    """Each trial has an error, and the share of pairs that can be predicted beside it; of ones nothing is predicted."""
    pulled = [dataclasses.replace(VALUES, gravity=gravity) for gravity in (0.0, 0.01, 10.0)]
    found = run([*pulled, RANKING], judge=validation_metrics)
    errors = [found[number].metrics["rmse"] for number in range(3)]
    assert errors[2] > max(errors[:2])
    assert len({found[number].metrics["coverage"] for number in range(3)}) == 1
    assert 0 < found[0].metrics["coverage"] <= 1
    assert "rmse" not in found[3].metrics
    for number, config in enumerate(pulled):
        alone = [validation_metrics(als.fit(train, config, 5), train, test) for train, test in parts()]
        assert found[number].metrics["rmse"] == pytest.approx(np.mean([fold["rmse"] for fold in alone]), abs=1e-4)


def parts() -> list[tuple[Ratings, Ratings]]:
    return [(RATINGS.take(split.train), RATINGS.take(split.test)) for split in FOLDS]


def test_a_broken_trial_is_recorded_and_the_others_go_on() -> None:
    huge = dataclasses.replace(RATINGS, value=(RATINGS.value - 3) * np.float32(1e38))
    with np.errstate(over="ignore", invalid="ignore"):
        found = run([VALUES, RANKING], ratings=huge, judge=lambda *_: {"rmse": 1.0})
    assert found[0].error.startswith("ModelError: als did not stay finite with reg 0.05")
    assert (found[1].error, found[1].metrics["rmse"]) == ("", 1.0)


def test_a_judge_that_fails_fails_its_trial_only() -> None:
    def judge(model: Any, train: Ratings, validation: Ratings) -> dict[str, float]:
        if model.predicts_values:
            raise ValueError("no figures")
        return rmse(model, train, validation)

    found = run([VALUES, RANKING], judge=judge)
    assert found[0].error == "ValueError: no figures"
    assert found[1].metrics == pytest.approx(fitted_alone(RANKING), abs=TOLERANCE)


def test_folds_give_mean_least_and_largest() -> None:
    assert over_folds([{"rmse": 1.0}, {"rmse": 2.0}, {"rmse": 6.0}]) == {"rmse": 3.0, "rmse_min": 1.0, "rmse_max": 6.0}
    assert over_folds([{"rmse": 1.0}]) == {"rmse": 1.0}
    assert math.isnan(over_folds([{"rmse": 1.0}, {"rmse": math.nan}])["rmse"])
