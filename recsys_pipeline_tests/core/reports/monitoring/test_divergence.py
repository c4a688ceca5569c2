"""PSI and KL against figures worked out by hand, and against what chance gives, also where values come in groups."""

import math
from collections.abc import Sequence
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_pipeline.core.reports.monitoring.divergence import (
    Chance,
    bin_edges,
    binned,
    edge_labels,
    effective_size,
    kl,
    psi,
)
from recsys_pipeline.core.reports.monitoring.priors import Distribution

MANY = 1_000_000_000
COUNTS = st.lists(st.integers(0, 1000), min_size=2, max_size=12).filter(any)
PAIRS = COUNTS.flatmap(
    lambda one: st.tuples(
        st.just(one), st.lists(st.integers(0, 1000), min_size=len(one), max_size=len(one)).filter(any)
    )
)


def sample(values: Sequence[float | str] | np.ndarray, unit: list[int] | np.ndarray | None = None) -> Distribution:
    array = np.asarray(values)
    array = array.astype(object if array.dtype.kind == "U" else np.float64)
    units = np.arange(len(array)) if unit is None else np.asarray(unit)
    return Distribution(array, units.astype(np.int64), len(array))


def test_psi_and_kl_by_hand() -> None:
    """Halves become three quarters and one quarter: .25 ln 1.5 + .25 ln 2, and .75 ln 1.5 − .25 ln 2."""
    before, now = np.array([MANY, MANY]), np.array([3 * MANY, MANY])
    assert psi(before, now) == pytest.approx(0.25 * math.log(1.5) + 0.25 * math.log(2), abs=1e-8)
    assert kl(now, before) == pytest.approx(0.75 * math.log(1.5) - 0.25 * math.log(2), abs=1e-8)


def test_an_empty_bin_counts_half_a_value() -> None:
    """One value in another bin each: smoothed to 3/4 and 1/4, so PSI is 2 × ½ ln 3."""
    assert psi(np.array([1, 0]), np.array([0, 1])) == pytest.approx(math.log(3))


@pytest.mark.parametrize(("before", "now"), [([0, 0], [1, 2]), ([1, 2], [0, 0]), ([0, 0], [0, 0])])
def test_nothing_on_a_side_is_undefined(before: list[int], now: list[int]) -> None:
    assert math.isnan(psi(np.array(before), np.array(now)))


@given(PAIRS)
def test_psi_is_a_symmetric_divergence(pair: tuple[list[int], list[int]]) -> None:
    before, now = map(np.array, pair)
    assert psi(before, now) >= 0
    assert psi(before, now) == psi(now, before)
    assert psi(before, before) == 0
    assert psi(before, now) == pytest.approx(kl(now, before) + kl(before, now))
    assert kl(now, before) >= 0


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=40),
    st.lists(st.integers(0, 9), min_size=1, max_size=40),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_the_order_of_rows_changes_nothing(before: list[int], now: list[int], as_labels: bool, random: Random) -> None:
    kind = str if as_labels else float
    rows = [(kind(value), number // 3) for number, value in enumerate(now)]
    shuffled = random.sample(rows, len(rows))
    reference = sample([kind(value) for value in before])
    found = [binned(reference, sample(*map(list, zip(*some, strict=True))), 5, 5) for some in (rows, shuffled)]
    assert found[0].labels == found[1].labels
    assert found[0].now.tolist() == found[1].now.tolist()
    assert found[0].effective == pytest.approx(found[1].effective)


def test_bins_are_those_of_the_reference_whatever_comes() -> None:
    reference = sample(np.arange(100.0))
    found = binned(reference, sample(np.full(100, 1e9)), 4, 9)
    assert found.labels == ("< 24.5", "24.5 – 49.5", "49.5 – 74.5", "≥ 74.5")
    assert (found.reference.tolist(), found.now.tolist()) == ([25, 25, 25, 25], [0, 0, 0, 100])


def test_few_values_that_come_often_have_a_bin_each() -> None:
    stars = np.repeat([1.0, 3.0, 4.0], [5, 90, 25])
    assert bin_edges(stars, 4, max_values=10).tolist() == [2.0, 3.5]
    assert bin_edges(stars, 4).tolist() == [2.0], "quantiles merge what is rare"
    assert edge_labels(bin_edges(np.zeros(9), 4)) == ["all"]


def test_values_that_many_share_do_not_hop_over_an_edge() -> None:
    """Everybody lacks 0 to 3 of the items; there are 119 of them today and were 121 yesterday."""
    lacking = np.arange(200) % 4
    yesterday, today = (sample(1 - lacking / n) for n in (121, 119))
    found = binned(yesterday, today, 10, 10)
    assert psi(found.reference, found.now) == 0


def test_rare_and_new_labels_are_one_bin() -> None:
    reference = sample(["a"] * 50 + ["b"] * 30 + ["c"] * 2)
    found = binned(reference, sample(["a"] * 40 + ["new"] * 42), 10, 2)
    assert found.labels == ("a", "b", "other")
    assert (found.reference.tolist(), found.now.tolist()) == ([50, 30, 2], [40, 0, 42])


def test_a_small_side_has_few_bins() -> None:
    large = sample(np.arange(1000.0))
    assert len(binned(large, large, 10, 10).labels) == 10
    assert len(binned(large, sample(np.arange(60.0)), 10, 10).labels) == 3


def test_effective_size_by_hand() -> None:
    """Each of 10 users gives one value 4 times: 40 rows are worth 10 less the degree of freedom."""
    user = np.repeat(np.arange(10), 4)
    assert effective_size(user % 2, user, 2) == pytest.approx(9)
    assert effective_size(np.arange(40) % 2, np.arange(40), 2) == pytest.approx(39)
    assert effective_size(np.zeros(40, int), user, 1) == 10, "nothing varies: as many as there are users"
    assert effective_size(np.zeros(1, int), np.zeros(1, int), 2) == 1
    assert effective_size(np.zeros(0, int), np.zeros(0, int), 2) == 0


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 6)), min_size=1, max_size=60))
def test_effective_size_lies_between_one_and_all(rows: list[tuple[int, int]]) -> None:
    row_bin, unit = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    assert 1 <= effective_size(row_bin, unit, 4) <= len(rows)


@pytest.mark.parametrize("copies", [1, 8], ids=["independent", "eight alike per user"])
def test_chance_is_as_large_as_it_is_said_to_be(copies: int) -> None:
    """PSI of two samples of one distribution, 200 times: mean and upper 5% as predicted, in groups too."""
    rng = np.random.default_rng(0)
    over, ratio, naive = [], [], []
    for _ in range(200):
        sides = [rng.normal(size=n) for n in (200, 120)]
        before, now = (sample(np.repeat(side, copies), np.repeat(np.arange(len(side)), copies)) for side in sides)
        found = binned(before, now, 5, 5)
        value = psi(found.reference, found.now)
        ratio.append(value / found.chance.mean)
        over.append(value > found.chance.upper(0.05))
        naive.append(value > Chance(1 / len(before) + 1 / len(now), len(found.labels) - 1).upper(0.05))
    assert np.mean(ratio) == pytest.approx(1, abs=0.15)
    assert np.mean(over) == pytest.approx(0.05, abs=0.035)
    assert copies == 1 or np.mean(naive) > 0.5, "rows taken for independent would alarm every other day"
