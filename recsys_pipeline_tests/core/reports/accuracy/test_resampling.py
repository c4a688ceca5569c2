"""Bootstrap intervals: against the loop twin, the normal approximation, and their own coverage."""

import dataclasses

import numpy as np
import pytest

from recsys_pipeline.core.errors import DataError, SettingError
from recsys_pipeline.core.reports.accuracy.metrics import metric_columns
from recsys_pipeline.core.reports.accuracy.ranking_result import RankingResult, RelevantRows
from recsys_pipeline.core.reports.accuracy.resampling import (
    best_against_others,
    bootstrap_sums,
    bootstrap_sums_loop,
    paired_differences,
    ranking_estimates,
)
from recsys_pipeline.core.reports.accuracy.significance import ALPHA, holm
from recsys_pipeline.core.reports.accuracy.tied_places import TiedPlaces

COLUMNS = metric_columns((10,))


def result(values: np.ndarray, model: str = "als", errors: np.ndarray | None = None) -> RankingResult:
    """A result whose every column is `values`."""
    n = len(values)
    errors = np.empty(0) if errors is None else errors
    return RankingResult(
        model=model,
        ks=(10,),
        n_items=50,
        columns=COLUMNS,
        users=np.arange(n, dtype=np.int32),
        values=np.tile(values[:, None], (1, len(COLUMNS))).astype(np.float64),
        n_relevant=np.ones(n, np.int64),
        n_candidates=np.full(n, 50, np.int64),
        rows=RelevantRows(
            user=np.arange(n, dtype=np.int32),
            item=np.zeros(n, np.int32),
            value=np.ones(n, np.float32),
            places=TiedPlaces.untied(np.ones(n, np.int32)),
        ),
        top=np.zeros((n, 10), np.int32),
        top_scores=np.zeros((n, 10), np.float32),
        coverage=np.array([0.4]),
        tied_places=np.array([0.25]),
        n_silent=0,
        error_users=np.arange(len(errors), dtype=np.int32) // 2,
        errors=errors.astype(np.float64),
        n_test_users=n,
        n_seen_again=0,
    )


@pytest.mark.parametrize("n", [3, 700])
def test_counts_times_matrix_equals_the_loop(n: int) -> None:
    values = np.random.default_rng(n).random((n, 4))
    np.testing.assert_allclose(bootstrap_sums(values, 7, 50), bootstrap_sums_loop(values, 7, 50))


def test_chunks_do_not_change_the_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).random((40, 2))
    whole = bootstrap_sums(values, 3, 30)
    monkeypatch.setattr("recsys_pipeline.core.reports.accuracy.resampling._CHUNK_DRAWS", 100)
    np.testing.assert_allclose(bootstrap_sums(values, 3, 30), whole)


def test_interval_agrees_with_the_normal_approximation_and_repeats_for_its_seed() -> None:
    values = np.random.default_rng(1).random(2000)
    row = ranking_estimates(result(values), seed=5)[0]
    error = 1.96 * values.std() / np.sqrt(len(values))
    assert row.value == pytest.approx(values.mean())
    assert row.low == pytest.approx(values.mean() - error, abs=error * 0.15)
    assert row.high == pytest.approx(values.mean() + error, abs=error * 0.15)
    assert row.n == 2000
    assert ranking_estimates(result(values), seed=5)[0] == row
    assert ranking_estimates(result(values), seed=6)[0] != row


def test_ninety_five_percent_intervals_hold_the_truth_about_that_often() -> None:
    rng = np.random.default_rng(2)
    rows = [ranking_estimates(result(rng.random(120)), seed, 300)[0] for seed in range(150)]
    covered = np.mean([row.low <= 0.5 <= row.high for row in rows])
    assert 0.88 <= covered <= 0.99


def test_rmse_is_resampled_by_user_and_coverage_has_no_interval() -> None:
    rng = np.random.default_rng(3)
    errors = rng.standard_normal(400)
    rows = {(row.metric, row.k): row for row in ranking_estimates(result(rng.random(200), errors=errors), 0)}
    assert rows["rmse", 0].value == pytest.approx(np.sqrt((errors**2).mean()))
    assert rows["rmse", 0].low < rows["rmse", 0].value < rows["rmse", 0].high
    assert rows["rmse", 0].n == rows["mae", 0].n == 400
    assert rows["mae", 0].value == pytest.approx(np.abs(errors).mean())
    assert rows["mae", 0].low < rows["mae", 0].value < rows["mae", 0].high
    assert np.isnan(rows["prediction_coverage", 0].low)
    assert rows["coverage", 10].value == 0.4
    assert np.isnan(rows["coverage", 10].low)


def test_pairing_finds_a_small_steady_gain_that_separate_intervals_hide() -> None:
    values = np.random.default_rng(4).random(300) * 0.9
    better, worse = result(values + 0.01, "better"), result(values, "worse")
    gap = paired_differences(better, worse, seed=0)[0]
    assert gap.is_clear
    assert gap.value == pytest.approx(0.01)
    one, other = ranking_estimates(better, 0)[0], ranking_estimates(worse, 0)[0]
    assert one.low < other.high
    noise = result(np.random.default_rng(5).permutation(values), "noise")
    assert not paired_differences(noise, worse, seed=0)[0].is_clear


def test_users_for_whom_a_metric_is_undefined_are_left_out_of_its_mean_interval_and_n() -> None:
    rng = np.random.default_rng(8)
    values = rng.random(300)
    holes = np.where(rng.random(300) < 0.3, np.nan, values)
    whole, partial = result(values), result(holes)
    row, expected = ranking_estimates(partial, 0)[0], ranking_estimates(result(holes[~np.isnan(holes)]), 0)[0]
    assert row.n == expected.n == (~np.isnan(holes)).sum()
    assert row.value == pytest.approx(expected.value)
    assert (row.low, row.high) == pytest.approx((expected.low, expected.high), abs=0.02)
    gap = paired_differences(partial, whole, seed=0)[0]
    assert (gap.value, gap.n) == (0.0, row.n)
    assert not gap.is_clear
    undefined = paired_differences(result(np.full(5, np.nan)), result(np.ones(5)), seed=0)[0]
    assert np.isnan([undefined.value, undefined.low, undefined.p_value, undefined.detectable]).all()
    assert not undefined.is_clear


def test_p_values_are_adjusted_for_all_models_that_are_compared_with_the_best() -> None:
    rng = np.random.default_rng(9)
    values = rng.random(80)
    best = result(values, "best")
    others = [result(values - 0.02 + 0.08 * rng.standard_normal(80), f"other{i}") for i in range(4)]
    gaps = [gap for gap in best_against_others([best, *others], seed=0) if gap.metric == "ndcg"]
    alone = [paired_differences(best, other, seed=0)[0].p_value for other in others]
    assert [gap.p_value for gap in gaps] == pytest.approx(holm(np.array(alone)).tolist())
    assert sum(gap.is_clear for gap in gaps) <= sum(p < ALPHA for p in alone)


def test_best_against_others_names_the_best_first() -> None:
    values = np.random.default_rng(6).random(50)
    gaps = best_against_others([result(values, "a"), result(values + 1, "b"), result(values + 0.5, "c")], seed=0)
    assert {(gap.model, gap.baseline) for gap in gaps} == {("b", "a"), ("b", "c")}
    assert best_against_others([result(values)], seed=0) == []


def test_best_of_a_metric_that_was_not_computed_says_what_to_add() -> None:
    with pytest.raises(SettingError, match=r"als was not evaluated at ndcg@20: add 20 to ks"):
        best_against_others([result(np.ones(3)), result(np.ones(3))], seed=0, k=20)


def test_different_users_cannot_be_paired() -> None:
    one = result(np.random.default_rng(7).random(20))
    with pytest.raises(DataError, match="same folds"):
        paired_differences(one, dataclasses.replace(one, users=one.users + 1), seed=0)


def test_no_users_gives_nan_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="intervals are NaN"):
        rows = ranking_estimates(result(np.empty(0)), seed=0)
    assert np.isnan(rows[0].value)
    assert np.isnan(rows[0].low)
    assert rows[0].n == 0


def test_bad_settings_are_refused() -> None:
    with pytest.raises(SettingError, match="n_resamples"):
        bootstrap_sums(np.ones((2, 1)), 0, 0)
