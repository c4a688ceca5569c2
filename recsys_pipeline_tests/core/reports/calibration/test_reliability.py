"""Reliability and calibration error: bins by hand, scikit-learn, null level and debiased error by simulation."""

import math

import numpy as np
import pytest
import scipy.stats
import sklearn.calibration
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.reports.calibration.reliability import (
    calibration_summary,
    debiased_rms_error,
    expected_calibration_error,
    null_calibration_error,
    reliability_curve,
    wilson_interval,
)


def test_bins_and_error_by_hand() -> None:
    p = np.array([0.1, 0.2, 0.2, 0.4, 0.8, 0.9])
    outcomes = np.array([False, False, True, False, True, True])
    low, high = reliability_curve(p, outcomes, n_bins=2)
    assert (low.n, high.n) == (3, 3)
    assert low.predicted == pytest.approx(0.5 / 3)
    assert low.observed == pytest.approx(1 / 3)
    assert high.predicted == pytest.approx(0.7)
    assert high.observed == pytest.approx(2 / 3)
    assert low.variance == pytest.approx((0.09 + 0.16 + 0.16) / 9)
    assert expected_calibration_error([low, high]) == pytest.approx((1 / 6 + 0.1 / 3) / 2)
    squares = (1 / 6) ** 2 - (2 / 9) / 2, (0.1 / 3) ** 2 - (2 / 9) / 2
    assert debiased_rms_error([low, high]) == math.sqrt(max(0, sum(squares) / 2)) == 0


def test_curve_equals_scikit_learn_on_quantile_bins() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(1000)
    outcomes = rng.random(1000) < p**2
    observed, predicted = sklearn.calibration.calibration_curve(outcomes, p, n_bins=10, strategy="quantile")
    bins = reliability_curve(p, outcomes)
    np.testing.assert_allclose([row.observed for row in bins], observed, atol=0.011)  # a row on an edge may move over
    np.testing.assert_allclose([row.predicted for row in bins], predicted, atol=0.011)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_order_of_rows_does_not_matter_and_weights_are_repeated_rows(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 40))
    p, outcomes, weights = rng.integers(0, 6, n) / 5, rng.random(n) < 0.5, rng.integers(1, 4, n)
    bins = reliability_curve(p, outcomes, weights.astype(np.float64), 4)
    order = rng.permutation(n)
    shuffled = reliability_curve(p[order], outcomes[order], weights[order].astype(np.float64), 4)
    repeated = reliability_curve(np.repeat(p, weights), np.repeat(outcomes, weights), None, 4)
    for one, other, third in zip(bins, shuffled, repeated, strict=True):
        assert one.observed == pytest.approx(other.observed) == pytest.approx(third.observed)
        assert one.predicted == pytest.approx(other.predicted) == pytest.approx(third.predicted)
        assert one.low <= one.observed + 1e-12
        assert one.observed <= one.high + 1e-12
    assert sum(row.share for row in bins) == pytest.approx(1)
    assert sum(row.n for row in bins) == n


@pytest.mark.parametrize(("hits", "n"), [(0, 10), (5, 10), (3, 700), (10, 10)])
def test_wilson_interval_equals_scipy(hits: int, n: int) -> None:
    theirs = scipy.stats.binomtest(hits, n).proportion_ci(method="wilson")
    assert wilson_interval(hits / n, float(n)) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def draws(n: int, n_repeats: int, gap: float = 0.0) -> tuple[np.ndarray, list[np.ndarray]]:
    rng = np.random.default_rng(5)
    p = rng.uniform(0.1, 0.6, n)
    return p, [rng.random(n) < p + gap for _ in range(n_repeats)]


def test_null_level_is_the_error_of_true_probabilities() -> None:
    p, repeats = draws(500, 300)
    summaries = [calibration_summary(p, outcomes, seed=0)[0] for outcomes in repeats]
    errors = np.array([row.ece for row in summaries])
    assert summaries[0].ece_null == pytest.approx(errors.mean(), rel=0.05)
    assert (errors > summaries[0].ece_null_high).mean() == pytest.approx(0.05, abs=0.03)
    assert summaries[0].ece_null > 0.03  # far from 0 on 500 rows
    assert np.mean([row.is_calibrated for row in summaries]) > 0.9


def test_debiased_error_is_near_the_true_gap_where_the_plain_one_is_not() -> None:
    p, repeats = draws(500, 200, gap=0.05)
    bins = [reliability_curve(p, outcomes) for outcomes in repeats]
    plain = np.mean([sum(row.share * (row.observed - row.predicted) ** 2 for row in rows) for rows in bins])
    debiased = np.mean([debiased_rms_error(rows) ** 2 for rows in bins])
    assert math.sqrt(plain) > 0.07
    assert math.sqrt(debiased) == pytest.approx(0.05, abs=0.008)
    shifted = calibration_summary(p, repeats[0], seed=0)[0]
    assert shifted.brier < shifted.brier_of_mean


def test_no_rows_one_row_and_no_bins() -> None:
    with pytest.warns(UserWarning, match="no rows"):
        summary, bins = calibration_summary(np.empty(0), np.empty(0, bool), seed=0)
    assert bins == []
    assert math.isnan(summary.ece)
    assert not summary.is_calibrated
    summary, bins = calibration_summary(np.array([0.3]), np.array([True]), seed=0)
    assert (len(bins), summary.n) == (1, 1)
    assert summary.ece == pytest.approx(0.7)
    assert math.isnan(summary.rms_debiased)
    assert null_calibration_error(bins, 0)[0] == pytest.approx(math.sqrt(0.21 * 2 / math.pi))
    with pytest.raises(SettingError, match="n_bins = 0"):
        reliability_curve(np.array([0.3]), np.array([True]), n_bins=0)
