"""Randomisation test, Holm's correction and detectable effects: exact twins, golden cases, false-alarm rates."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.reports.accuracy.significance import (
    ALPHA,
    exact_p_value,
    holm,
    minimum_detectable_effect,
    randomisation_p_values,
)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from([-0.5, -0.1, 0.0, 0.1, 0.2, 1.0]), min_size=1, max_size=9))
def test_random_signs_agree_with_all_signs(gaps: list[float]) -> None:
    found = randomisation_p_values(np.array(gaps)[:, None], seed=0, n_permutations=2000)[0]
    assert found == pytest.approx(exact_p_value(gaps), abs=0.045)  # four standard errors of 2,000 draws


def test_exact_twin_agrees_with_scipy() -> None:
    gaps = [0.3, -0.1, 0.25, 0.2, 0.05]
    theirs = scipy.stats.permutation_test((gaps,), np.mean, permutation_type="samples", n_resamples=2**5).pvalue
    assert exact_p_value(gaps) == pytest.approx(theirs)


def test_no_difference_has_p_value_one_and_undefined_is_nan() -> None:
    gaps = np.array([[0.0, np.nan], [0.0, np.nan]])
    p_values = randomisation_p_values(gaps, seed=0, n_permutations=99)
    assert p_values[0] == 1.0
    assert np.isnan(p_values[1])


def test_false_alarms_are_as_rare_as_said() -> None:
    rng = np.random.default_rng(1)
    gaps = rng.standard_normal((60, 800)) ** 3  # symmetric about 0, heavy tails: a column is one experiment
    share = np.mean(randomisation_p_values(gaps, seed=2, n_permutations=999) < ALPHA)
    assert share == pytest.approx(ALPHA, abs=0.025)  # three standard errors of 800 experiments


def test_detectable_difference_is_found_eight_times_in_ten() -> None:
    rng = np.random.default_rng(3)
    noise = rng.standard_normal((200, 600))
    noise = (noise - noise.mean(axis=0)) / noise.std(axis=0, ddof=1)  # a spread of exactly 1
    effect = minimum_detectable_effect(noise)
    assert effect == pytest.approx(np.full(600, 2.8016 / np.sqrt(200)), rel=1e-4)  # (1.9600 + 0.8416) sd / √n
    shifted = rng.standard_normal((200, 600)) + effect
    assert np.mean(randomisation_p_values(shifted, seed=4, n_permutations=499) < ALPHA) == pytest.approx(0.8, abs=0.05)
    assert np.isnan(minimum_detectable_effect(np.ones((1, 2)))).all()


def test_holm_golden_case_and_order() -> None:
    # Holm 1979: ordered p-values times m, m - 1, …, never falling.
    found = holm(np.array([0.005, 0.03, np.nan, 0.02, 0.9]))
    np.testing.assert_allclose(found, [0.02, 0.06, np.nan, 0.06, 0.9])
    assert holm(np.array([0.4, 0.6])).tolist() == [0.8, 0.8]
    assert holm(np.empty(0)).tolist() == []


def test_bad_settings_are_refused() -> None:
    with pytest.raises(SettingError, match="n_permutations"):
        randomisation_p_values(np.ones((2, 1)), 0, 0)
