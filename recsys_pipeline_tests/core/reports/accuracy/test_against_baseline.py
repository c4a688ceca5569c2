"""The best trial takes the place of what is in use only where it is better beyond chance."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from recsys_pipeline.core.errors import DataError, ModelError
from recsys_pipeline.core.learning.sweeps.baseline import Units
from recsys_pipeline.core.learning.sweeps.sweep import Outcome, Proposal, SweepResult, best_of, parse_sweep, run_batches
from recsys_pipeline.core.learning.sweeps.trials import FAILED, FINISHED, Trial
from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline.core.reports.accuracy.against_baseline import compare, gain_of, verdict, why_nothing_to_compare
from recsys_pipeline.core.reports.accuracy.validation import validation_metrics, validation_units
from recsys_pipeline_tests.core.learning.sweeps.test_sweep import Toy

N_USERS, N_TRIALS = 60, 20
SPACE = "name: s\nmethod: random\nmetric: {name: ndcg@10, goal: maximize}\nparameters:\n  reg: {min: 0.1, max: 1.0}\n"
SWEEP = parse_sweep(SPACE, Toy)


def units(values: np.ndarray, rows: np.ndarray | None = None) -> Units:
    return Units(np.arange(len(values)), values, np.ones(len(values)) if rows is None else rows)


class Shop:
    """Users whose metric under a config is chance, but for a lift that is the same for all trials.

    The first half of the users steers; of equal trials the best one looks better there.
    """

    def __init__(self, seed: int, lift: float = 0.0) -> None:
        self._rng, self._lift = np.random.default_rng(seed), lift
        self._easy = self._rng.random(2 * N_USERS)
        self.values: dict[int, np.ndarray] = {}

    def __call__(self, proposals: Sequence[Proposal], _: Any) -> Iterator[Mapping[int, Outcome]]:
        for one in proposals:
            lift = self._lift if one.number else 0.0
            self.values[one.number] = self._easy + lift + self._rng.normal(0, 0.3, 2 * N_USERS)
            yield {one.number: Outcome({"ndcg@10": float(self.values[one.number][:N_USERS].mean())})}

    def p_value(self, seed: int, compared_on: slice) -> float:
        """Of the best trial of a sweep against what is in use, on these users; 1 where none looks better."""
        result = run_batches(SWEEP, self, N_TRIALS, seed, 1, baseline=Toy())
        if why_nothing_to_compare(result):
            return 1.0
        both = (units(self.values[trial][compared_on]) for trial in (0, result.best.number))
        compared = compare(result, *both, unit="users", seed=seed)
        assert compared.gain is not None
        assert compared.is_taken == (compared.gain.p_value < 0.05)
        return compared.gain.p_value


def test_equal_trials_are_taken_five_times_in_a_hundred_and_better_ones_are_taken() -> None:
    apart, same = slice(N_USERS, None), slice(N_USERS)
    by_chance = [Shop(seed).p_value(seed, apart) for seed in range(100)]
    cursed = [Shop(seed).p_value(seed, same) for seed in range(20)]
    better = [Shop(seed, lift=0.2).p_value(seed, apart) for seed in range(20)]
    assert sum(p < 0.05 for p in by_chance) <= 10, "5 are expected, and more than 10 come by chance once in 90 times"
    assert 0.4 < np.mean(by_chance) < 0.6, "and the test is not blunt: without a difference p is as often high as low"
    assert np.mean(cursed) < 0.3, "on the users that they were chosen by, equal trials look better"
    assert sum(p < 0.05 for p in better) >= 17


def test_gains_of_both_directions_are_tested_on_one_side() -> None:
    rng = np.random.default_rng(0)
    low, high = rng.random(50), rng.random(50) + 0.4
    up, down = (gain_of(units(a), units(b), False, False, "users", 0) for a, b in ((low, high), (high, low)))
    assert up.p_value < 0.001
    assert down.p_value > 0.999
    assert up.best - up.baseline == pytest.approx(high.mean() - low.mean())
    assert 0 < up.low < up.best - up.baseline < up.high
    assert gain_of(units(high), units(low), True, False, "users", 0).p_value < 0.001, "where less is better"
    assert gain_of(units(low), units(low), False, False, "users", 0).p_value > 0.05


def test_rmse_is_that_of_all_rows_and_its_users_are_paired() -> None:
    rng = np.random.default_rng(1)
    errors, user = rng.normal(0, 1, 400), np.sort(rng.integers(0, 30, 400))
    rows = np.bincount(user).astype(float)
    before, after = (units(np.bincount(user, (factor * errors) ** 2), rows) for factor in (1.0, 0.8))
    gain = gain_of(before, after, minimise=True, is_root=True, unit="users", seed=0)
    assert gain.baseline == pytest.approx(np.sqrt(np.mean(errors**2)))
    assert gain.best == pytest.approx(0.8 * gain.baseline)
    assert gain.high < 0
    assert gain.p_value < 0.001


def test_what_was_judged_on_other_users_is_not_compared() -> None:
    one = units(np.ones(5))
    with pytest.raises(DataError, match="different users"):
        gain_of(one, Units(one.ids + 1, one.totals, one.rows), False, False, "users", 0)


def result_of(*losses: float, error: str = "") -> SweepResult:
    in_use = Trial(0, vars(Toy()), {"ndcg@10": losses[0]}, FAILED if error else FINISHED, 1.0, error, is_baseline=True)
    found = [Trial(n, {"reg": 0.5}, {"ndcg@10": loss}, FINISHED, 1.0) for n, loss in enumerate(losses[1:], 1)]
    return best_of(SWEEP, [in_use, *found])


@pytest.mark.parametrize(
    ("result", "why"),
    [
        (result_of(0.5, 0.4), "^no trial came out better$"),
        (result_of(0.5, 0.5), "no trial came out better"),
        (
            result_of(0.1, 0.4, error="no metric 'ndcg@10' among rmse"),
            r"they have no ndcg@10 .*\(no metric .*`baseline`",
        ),
        (result_of(0.1, 0.4), "^$"),
    ],
)
def test_without_anything_to_compare_it_says_why(result: SweepResult, why: str) -> None:
    assert re.search(why, why_nothing_to_compare(result))


def test_the_verdict_says_what_is_taken_and_what_is_not_and_why() -> None:
    found = result_of(0.1, 0.4, 0.3)
    rng = np.random.default_rng(2)
    base = rng.random(40)

    def said(lift: float) -> str:
        compared = compare(found, units(base), units(base + lift * rng.random(40) - 0.01), "users", 0)
        return verdict(best_of(SWEEP, found.trials, compared))

    assert said(0.5).startswith("Trial 1 takes the place of the settings in use: on 40 users that steered no trial its")
    assert "The settings in use stay: trial 1 came out best, but on 40 users" in said(0.0)
    assert "it is no better than they are: -0.0" in said(0.0)
    none = compare(found, units(base[:0]), units(base[:0]), "users", 0)
    assert verdict(best_of(SWEEP, found.trials, none)) == (
        "The settings in use stay: no users are left to compare on: there are too few."
    )
    assert verdict(found) == ""


class Fixed:
    """Scores that are what they are."""

    def __init__(self, scores: np.ndarray, predicts_values: bool) -> None:
        self._scores, self.predicts_values = scores.astype(np.float32), predicts_values

    def scores(self, users: Any) -> Any:
        return self._scores[users]


def ratings(rng: np.random.Generator, n: int) -> Ratings:
    pairs = rng.choice(15 * 20, n, replace=False)
    return Ratings(
        (pairs // 20).astype(np.int32), (pairs % 20).astype(np.int32), rng.integers(1, 6, n).astype(np.float32),
        np.arange(n, dtype=np.int64), 15, 20,
    )  # fmt: skip


@pytest.mark.parametrize("metric", ["ndcg@10", "recall@10", "rmse"])
def test_figures_of_single_users_add_up_to_the_figure_of_all(metric: str) -> None:
    rng = np.random.default_rng(4)
    both = ratings(rng, 160)
    train, validation = both.take(np.arange(80)), both.take(np.arange(80, 160))
    model = Fixed(rng.random((15, 20)) * 5, predicts_values=True)
    found = validation_units(model, train, validation, metric)
    mean = found.totals.sum() / found.rows.sum()
    assert (np.sqrt(mean) if metric == "rmse" else mean) == pytest.approx(
        validation_metrics(model, train, validation)[metric]
    )


def test_a_metric_that_single_users_do_not_have_is_named() -> None:
    rng = np.random.default_rng(5)
    both = ratings(rng, 100)
    with pytest.raises(ModelError, match="coverage is no figure of single users: ndcg@10, recall@10, rmse are"):
        validation_units(Fixed(rng.random((15, 20)), True), both, both, "coverage")
    with pytest.raises(ModelError, match="Fixed predicts no values, so it has no rmse"):
        validation_units(
            Fixed(rng.random((15, 20)), False), both.take(np.arange(50)), both.take(np.arange(60, 70)), "rmse"
        )
