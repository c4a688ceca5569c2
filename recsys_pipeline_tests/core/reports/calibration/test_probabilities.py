"""Probabilities of a sale: scikit-learn as the second opinion, weights as repeated rows, bad input."""

import math

import numpy as np
import pytest
import sklearn.linear_model
import sklearn.metrics

from recsys_pipeline.core.errors import DataError, SettingError
from recsys_pipeline.core.reports.calibration.probabilities import (
    PlattScaling,
    brier_score,
    cross_fitted_probabilities,
    fit_platt,
    log_loss,
)

TRUE = PlattScaling(slope=0.8, intercept=-2.0)


def sales(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Scores, and outcomes that follow `TRUE`."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(3, 2, n)
    return scores, rng.random(n) < TRUE.probabilities(scores)


def test_scaling_equals_a_logistic_regression_on_platts_targets() -> None:
    scores, outcomes = sales(400)
    ours, positives, negatives = fit_platt(scores, outcomes), outcomes.sum(), (~outcomes).sum()
    targets = np.where(outcomes, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    # A row with target t is t of a sale and 1 − t of none.
    twice, labels = np.tile(scores, 2)[:, None], np.repeat([1, 0], len(scores))
    theirs = sklearn.linear_model.LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
    theirs.fit(twice, labels, sample_weight=np.concatenate([targets, 1 - targets]))
    assert ours.slope == pytest.approx(np.ravel(theirs.coef_)[0], abs=1e-5)
    assert ours.intercept == pytest.approx(np.ravel(theirs.intercept_)[0], abs=1e-5)


def test_scaling_finds_what_made_the_data_and_takes_weights_as_repeated_rows() -> None:
    scores, outcomes = sales(30_000)
    found = fit_platt(scores, outcomes)
    assert found.slope == pytest.approx(TRUE.slope, abs=0.05)
    assert found.intercept == pytest.approx(TRUE.intercept, abs=0.1)
    scores, outcomes, weights = scores[:200], outcomes[:200], np.random.default_rng(1).integers(0, 4, 200)
    weighted = fit_platt(scores, outcomes, weights.astype(np.float64))
    repeated = fit_platt(np.repeat(scores, weights), np.repeat(outcomes, weights))
    assert weighted.slope == pytest.approx(repeated.slope, abs=1e-5)


def test_separable_scores_keep_a_finite_slope_and_scale_does_not_matter() -> None:
    scores = np.array([1.0, 2.0, 3.0, 4.0])
    outcomes = scores > 2
    small, large = fit_platt(scores, outcomes), fit_platt(1e6 * scores, outcomes)
    assert 0 < small.slope < 10
    np.testing.assert_allclose(small.probabilities(scores), large.probabilities(1e6 * scores), atol=1e-6)
    same = fit_platt(np.ones(4), np.array([True, False, False, False]))
    np.testing.assert_allclose(same.probabilities(np.ones(1)), (1 * 2 / 3 + 3 / 5) / 4, atol=1e-6)  # Platt's targets


def test_scores_of_probabilities_equal_scikit_learn() -> None:
    rng = np.random.default_rng(2)
    p, outcomes, weights = rng.random(300), rng.random(300) < 0.4, rng.random(300)
    assert brier_score(p, outcomes) == pytest.approx(sklearn.metrics.brier_score_loss(outcomes, p))
    assert log_loss(p, outcomes) == pytest.approx(sklearn.metrics.log_loss(outcomes, p))
    theirs = sklearn.metrics.log_loss(outcomes, p, sample_weight=weights)
    assert log_loss(p, outcomes, weights) == pytest.approx(theirs)
    certain = np.array([0.0, 1.0])
    assert log_loss(certain, np.array([False, True])) == pytest.approx(0, abs=1e-12)
    assert log_loss(certain, np.array([True, True])) == pytest.approx(52 * math.log(2) / 2)


def test_no_group_is_judged_by_a_fit_that_saw_it() -> None:
    scores, outcomes = sales(600)
    groups = np.arange(600) // 3
    before = cross_fitted_probabilities(scores, outcomes, groups, seed=4)
    assert np.abs(before - TRUE.probabilities(scores)).mean() < 0.05
    for user in (0, 77):
        changed = outcomes ^ (groups == user)
        after = cross_fitted_probabilities(scores, changed, groups, seed=4)
        np.testing.assert_array_equal(after[groups == user], before[groups == user])
        assert (after != before).any()


def test_bad_rows_are_named_and_no_rows_are_undefined() -> None:
    both = np.array([True, False])
    with pytest.raises(DataError, match="needs both outcomes"):
        fit_platt(np.array([1.0, 2.0]), np.array([True, True]))
    with pytest.raises(DataError, match="score of row 1 is nan"):
        fit_platt(np.array([1.0, np.nan]), both)
    with pytest.raises(DataError, match=r"row 0 has the probability 1\.5"):
        brier_score(np.array([1.5, 0.5]), both)
    with pytest.raises(DataError, match="weight of row 1 is below 0"):
        log_loss(np.array([0.5, 0.5]), both, np.array([1.0, -1.0]))
    with pytest.raises(SettingError, match="n_folds = 1"):
        cross_fitted_probabilities(np.array([1.0, 2.0]), both, np.array([0, 1]), 0, n_folds=1)
    with pytest.warns(UserWarning, match="log loss of no rows"):
        assert math.isnan(log_loss(np.empty(0), np.empty(0, bool)))
