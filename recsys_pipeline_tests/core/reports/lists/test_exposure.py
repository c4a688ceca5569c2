"""Figures of all lists together: by hand, against the loop, and what must not change them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.reports.lists.exposure import (
    EXPOSURE_METRICS,
    exposure_metric,
    exposure_values,
    gini,
    gini_loop,
    matthew_curve,
    matthew_effect,
)

TOP = np.array([[0, 1, -1], [0, 2, 1], [0, -1, -1]])
POPULARITY = np.array([6, 3, 1, 0])
COUNTS = st.lists(st.integers(0, 30), min_size=2, max_size=12).map(np.array).filter(lambda counts: counts.sum() > 0)


def test_every_figure_by_hand() -> None:
    found = exposure_values(TOP, POPULARITY, (1, 3))
    assert found["catalogue_coverage", 1] == 1 / 4
    assert found["catalogue_coverage", 3] == 3 / 4
    assert found["user_coverage", 1] == 1
    assert found["user_coverage", 3] == pytest.approx(1 / 3)
    assert found["gini", 1] == 3 / 4  # one of four items takes everything
    assert found["gini", 3] == pytest.approx((3 * 3 + 1 * 2 - 1 * 1) / (4 * 6))  # counts 0, 1, 2, 3
    # Shown 3, 2, 1, 0 of 6 against 6, 3, 1, 0 of 10: popular items get less than they had.
    assert found["matthew_effect", 3] == pytest.approx(2 / 4 * ((1 / 2 - 6 / 10) + (5 / 6 - 9 / 10)))


@given(COUNTS)
def test_gini_equals_the_loop_and_does_not_know_order_or_scale(counts: np.ndarray) -> None:
    assert gini(counts) == pytest.approx(gini_loop(counts.tolist()), abs=1e-12)
    assert gini(7 * counts[::-1]) == pytest.approx(gini(counts))
    assert -1e-12 <= gini(counts) <= 1 - 1 / len(counts) + 1e-12


@given(COUNTS)
def test_lists_that_follow_the_train_rows_have_no_matthew_effect(counts: np.ndarray) -> None:
    assert matthew_effect(3 * counts, counts) == pytest.approx(0, abs=1e-12)
    assert matthew_effect(np.ones(len(counts)), counts) == pytest.approx(-gini(counts))
    curves = matthew_curve(counts, counts)
    assert (np.diff(curves, axis=1) >= -1e-12).all()
    assert curves[:, -1] == pytest.approx([1, 1])


def test_the_order_of_equally_popular_items_does_not_matter() -> None:
    assert matthew_effect(np.array([9, 0, 1]), np.array([2, 2, 1])) == pytest.approx(
        matthew_effect(np.array([0, 9, 1]), np.array([2, 2, 1]))
    )


def test_undefined_figures_are_nan_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="no lists"):
        found = exposure_values(np.empty((0, 3), int), POPULARITY, (1,))
    assert set(found) == {(name, 1) for name in EXPOSURE_METRICS}
    assert all(math.isnan(value) for value in found.values())
    with pytest.warns(UserWarning, match="Gini index of no"):
        assert math.isnan(gini(np.zeros(3)))
    with pytest.warns(UserWarning, match="Matthew curve of no"):
        assert math.isnan(matthew_effect(np.zeros(3), np.ones(3)))
    with pytest.raises(SettingError, match="two exposure metrics"):
        exposure_metric("gini")(EXPOSURE_METRICS["gini"])
