"""Position bias: examination from clicks, with known truth, and click-through freed of it."""

import itertools
import math
from datetime import date
from functools import cache

import numpy as np
import pytest

from recsys_pipeline.core.dataset.events import WEB_LOG
from recsys_pipeline.core.dataset.simulator import Simulator, SimulatorConfig
from recsys_pipeline.core.errors import DataError, SettingError
from recsys_pipeline.core.reports.off_policy.click_metrics import (
    corrected_click_through,
    examination_curve,
    examination_loop,
    exposure_weight,
    position_effects,
)
from recsys_pipeline.core.reports.off_policy.logged_feedback import LoggedFeedback, logged_feedback
from recsys_pipeline.core.time import Window

POSITIONS = 5
ATTENTION = (np.arange(POSITIONS) + 1.0) ** -0.8


def confounded_clicks(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(item, position, click, liking): good items stand on top more often, so counting sees too steep a fall."""
    rng = np.random.default_rng(seed)
    liking = np.linspace(0.05, 0.8, 12)
    position = rng.integers(0, POSITIONS, n)
    lean = np.exp((2 - position)[:, None] * 1.2 * liking)
    item = (rng.random((n, 1)) > np.cumsum(lean / lean.sum(axis=1, keepdims=True), axis=1)).sum(axis=1)
    item = np.minimum(item, 11)
    click = (rng.random(n) < ATTENTION[position] * liking[item]).astype(np.float64)
    return item, position, click, liking


def test_the_curve_equals_its_loop() -> None:
    item, position, click, _ = confounded_clicks(400, 0)
    weight = np.random.default_rng(1).uniform(0.5, 2, 400)
    looked, liking = examination_curve(item, position, click, weight)
    rows = list(zip(item.tolist(), position.tolist(), click.tolist(), weight.tolist(), strict=True))
    expected = examination_loop(rows, 12, POSITIONS, rounds=60)
    np.testing.assert_allclose(looked, expected[0], atol=1e-5)
    np.testing.assert_allclose(liking, expected[1], atol=1e-5)


def test_item_effects_free_examination_of_who_stands_on_top() -> None:
    item, position, click, liking = confounded_clicks(200_000, 3)
    looked, found = examination_curve(item, position, click)
    counted = np.bincount(position, click) / np.bincount(position)
    assert np.abs(looked - ATTENTION).max() < 0.015
    assert np.abs(counted / counted[0] - ATTENTION).max() > 0.05
    np.testing.assert_allclose(found, liking, atol=0.02)


def test_clicks_without_noise_give_the_truth_to_the_digit() -> None:
    item, position = np.indices((3, 4)).reshape(2, -1)
    likes, looks = np.array([0.2, 0.5, 0.9]), np.array([1.0, 0.6, 0.4, 0.1])
    looked, liking = examination_curve(item, position, likes[item] * looks[position])
    np.testing.assert_allclose(looked, looks, atol=1e-7)
    np.testing.assert_allclose(liking, likes, atol=1e-7)


def test_corrected_click_through_is_that_of_the_top() -> None:
    item, position, click, liking = confounded_clicks(200_000, 4)
    np.testing.assert_allclose(corrected_click_through(item, position, click, ATTENTION, 12), liking, atol=0.02)
    raw = np.bincount(item, click) / np.bincount(item)
    assert np.abs(raw - liking).max() > 0.2


def test_an_item_that_was_not_shown_has_no_click_through() -> None:
    one = np.array([1])
    found = corrected_click_through(one, np.array([0]), np.ones(1), np.ones(1), 3)
    assert found.tolist()[1] == 1.0
    assert math.isnan(found[0])
    assert math.isnan(found[2])


def test_without_a_click_on_top_nothing_is_known() -> None:
    position = np.array([0, 1])
    with pytest.warns(UserWarning, match="no click at the top"):
        looked, _ = examination_curve(np.zeros(2, int), position, np.array([0.0, 1.0]))
    assert np.isnan(looked).all()
    with pytest.warns(UserWarning, match="no click at the top"):
        looked, _ = examination_curve(position[:0], position[:0], np.zeros(0))
    assert len(looked) == 0


def test_bad_weights_are_named() -> None:
    with pytest.raises(DataError, match=r"row 1 has weight -1\.0"):
        examination_curve(np.zeros(2, int), np.zeros(2, int), np.ones(2), np.array([1.0, -1.0]))


@cache
def shop() -> Simulator:
    return Simulator(
        SimulatorConfig(name="busy", n_users=300, n_items=100, n_scenes=1, requests_per_day=15_000), seed=5
    )


@cache
def busy_day() -> LoggedFeedback:
    log = shop().interactions(Window.of_day(date(2026, 1, 1))).read_all()
    users, items = (np.unique(log.column(name).to_numpy()) for name in ("user_id", "item_id"))
    return logged_feedback(log, users, items, WEB_LOG)


def test_on_the_simulator_the_intervals_hold_the_true_attention() -> None:
    effects = position_effects(busy_day(), seed=0, n_resamples=60)
    truth = np.array([shop().examination(row.position) for row in effects])
    assert effects[0].examination == pytest.approx(1)
    inside = [row.low <= true <= row.high for row, true in zip(effects, truth, strict=True)][1:]
    assert sum(inside) >= 7, (effects, truth)  # nine intervals of 95%, not independent
    assert np.abs([row.examination for row in effects] - truth).max() < 0.08
    assert np.corrcoef([row.examination for row in effects], truth)[0, 1] > 0.99


def test_exposure_weights_give_every_pair_the_same_mass_at_every_position() -> None:
    """Every list of three from four items, enumerated with its Plackett-Luce probability."""
    chance = np.array([0.55, 0.25, 0.15, 0.05])
    lists = list(itertools.permutations(range(4), 3))
    probability, propensity = np.ones(len(lists)), np.empty((len(lists), 3))
    for number, items in enumerate(lists):
        for k, item in enumerate(items):
            propensity[number, k] = chance[item] / (1 - chance[list(items[:k])].sum())
        probability[number] = propensity[number].prod()
    request, position = np.indices(propensity.shape).reshape(2, -1)
    item = np.array(lists).ravel()
    user, place = request.astype(np.int32), position.astype(np.int32)
    log = LoggedFeedback(request, user, item.astype(np.int32), place, np.zeros(len(item)), propensity.ravel(), request)
    mass = np.zeros((4, 3))
    np.add.at(mass, (item, position), exposure_weight(log) * probability[request])
    np.testing.assert_allclose(mass, 1, atol=1e-9)
    plain = np.zeros((4, 3))
    np.add.at(plain, (item, position), probability[request] / propensity.ravel())
    assert plain[0, 2] < 0.3  # what 1 / propensity alone would leave of the most popular item in third place


def test_effects_repeat_for_their_seed_and_count_what_they_saw() -> None:
    day = busy_day().take(np.arange(3000))
    first, again = position_effects(day, 7, 5), position_effects(day, 7, 5)
    assert first == again
    assert sum(row.impressions for row in first) == 3000
    assert sum(row.clicks for row in first) == int(day.reward.sum())
    with pytest.raises(SettingError, match="n_resamples"):
        position_effects(day, 7, 0)
