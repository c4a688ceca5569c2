"""Policies against a log: target policies, the cross-fitted reward model, and the simulator's truth."""

import math
from datetime import UTC, date, datetime
from functools import cache

import numpy as np
import pytest
from scipy.stats import binom

from recsys_pipeline.core.dataset.events import WEB_LOG
from recsys_pipeline.core.dataset.simulator import SIZES, Simulator
from recsys_pipeline.core.dataset.sources import KnowsTruth
from recsys_pipeline.core.errors import DataError, SettingError
from recsys_pipeline.core.reports.off_policy import study as off_policy_study
from recsys_pipeline.core.reports.off_policy.estimators import ESTIMATORS
from recsys_pipeline.core.reports.off_policy.logged_feedback import LoggedFeedback, logged_feedback
from recsys_pipeline.core.reports.off_policy.reward_model import (
    RewardModel,
    fit_reward_model,
    scores_of_pairs,
    user_folds,
)
from recsys_pipeline.core.reports.off_policy.study import (
    LOGGED,
    OffPolicyConfig,
    evaluate_policies,
    model_policies,
    plain_policies,
    policy_sample,
    sampled_requests,
    true_values,
)
from recsys_pipeline.core.reports.off_policy.target_policies import (
    EpsilonGreedyPolicy,
    PopularityPolicy,
    SoftmaxPolicy,
    UniformPolicy,
)
from recsys_pipeline.core.time import Window

REPETITIONS = 200
CONFIG = OffPolicyConfig(n_folds=2)
DAY, NOON = date(2026, 1, 2), datetime(2026, 1, 2, 12, tzinfo=UTC)


class Table:
    """Scores that are given."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values.astype(np.float32)

    def scores(self, users: np.ndarray) -> np.ndarray:
        return self.values[users]


ACTIONS = np.array([1, 3, 4], np.int32)
SCORES = Table(np.array([[9, 1, 9, 2, 3], [9, 5, 9, 5, 5], [9, 0, 9, -1, -2]]))


@pytest.mark.parametrize(
    "policy",
    [
        UniformPolicy(ACTIONS),
        PopularityPolicy(ACTIONS, np.array([0, 10, 5])),
        SoftmaxPolicy(ACTIONS, SCORES, 0.5),
        EpsilonGreedyPolicy(ACTIONS, SCORES, 0.3),
    ],
)
def test_probabilities_are_probabilities(policy: off_policy_study.TargetPolicy) -> None:
    chance = policy.probabilities(np.array([2, 0, 1, 0], np.int32))
    assert chance.shape == (4, 3)
    np.testing.assert_allclose(chance.sum(axis=1), 1)
    assert (chance >= 0).all()
    np.testing.assert_array_equal(chance[1], chance[3])


def test_what_each_policy_prefers() -> None:
    users = np.arange(3, dtype=np.int32)
    popular = PopularityPolicy(ACTIONS, np.array([0, 10, 5])).probabilities(users)[0]
    np.testing.assert_allclose(popular, np.array([1, 11, 6]) / 18)
    greedy = EpsilonGreedyPolicy(ACTIONS, SCORES, 0.3).probabilities(users)
    assert greedy.argmax(axis=1).tolist() == [2, 0, 0]
    assert greedy[0, 2] == pytest.approx(0.8)
    soft = SoftmaxPolicy(ACTIONS, SCORES, 1.0).probabilities(users)
    np.testing.assert_allclose(soft[1], 1 / 3)  # equal scores
    assert soft[0, 2] / soft[0, 1] == pytest.approx(math.exp(1 / np.std([1, 2, 3])))
    scaled = SoftmaxPolicy(ACTIONS, Table(SCORES.values * 7 + 3), 1.0).probabilities(users)
    np.testing.assert_allclose(scaled, soft, rtol=1e-5)  # free of the scale of scores


def test_policies_refuse_what_makes_no_policy() -> None:
    with pytest.raises(SettingError, match="at least one item"):
        UniformPolicy(ACTIONS[:0])
    with pytest.raises(SettingError, match="each once"):
        UniformPolicy(np.array([1, 1], np.int32))
    with pytest.raises(SettingError, match="temperature"):
        SoftmaxPolicy(ACTIONS, SCORES, 0.0)
    with pytest.raises(SettingError, match="epsilon"):
        EpsilonGreedyPolicy(ACTIONS, SCORES, 1.5)


@cache
def shop() -> Simulator:
    return Simulator(SIZES["tiny"], seed=3)


@cache
def ids() -> tuple[np.ndarray, np.ndarray]:
    """(users, items) known by the end of the day."""
    items = shop().items(datetime(2026, 1, 3, tzinfo=UTC)).column("item_id").to_numpy(zero_copy_only=False)
    return np.array([f"u{row:06d}" for row in range(102)], dtype=object), items


def click_truth(users: np.ndarray, items: np.ndarray, at: datetime) -> np.ndarray:
    known_users, known_items = ids()
    return shop().click_probability(known_users[users], known_items[items], at)


@cache
def noon() -> tuple[np.ndarray, np.ndarray, np.ndarray, Table]:
    """(items on sale, logging probabilities, true click probabilities, noisy scores) at noon, users by items."""
    users, items = ids()
    shown = shop().shown_first_probability(users, items, NOON)
    on_sale = np.flatnonzero(shown[0]).astype(np.int32)
    utility = shop().expected_utility(users, items, NOON)
    scores = Table(utility + 2 * np.random.default_rng(0).standard_normal(utility.shape))
    return on_sale, shown, click_truth(np.arange(len(users)), np.arange(len(items)), NOON), scores


def noon_log(n: int, seed: int) -> LoggedFeedback:
    """First places as the simulator's policy chooses them for users drawn at random, and their clicks."""
    _, shown, clicks, _ = noon()
    rng = np.random.default_rng(seed)
    user = rng.integers(0, len(shown), n)
    item = (rng.random((n, 1)) > np.cumsum(shown, axis=1)[user]).sum(axis=1)
    item = np.minimum(item, np.flatnonzero(shown[0])[-1])
    reward = (rng.random(n) < clicks[user, item]).astype(np.float64)
    us = np.full(n, int(NOON.timestamp()) * 1_000_000)
    return LoggedFeedback(
        np.arange(n), user.astype(np.int32), item.astype(np.int32), np.zeros(n, np.int32), reward, shown[user, item], us
    )


def test_logged_propensities_are_the_true_probabilities_of_the_first_place() -> None:
    users, items = ids()
    log = logged_feedback(shop().interactions(Window.of_day(DAY)).read_all(), users, items, WEB_LOG)
    hour = int(NOON.timestamp()) // 3600
    rows = log.take((log.position == 0) & (log.timestamp_us // 3_600_000_000 == hour))
    assert len(rows) > 5
    np.testing.assert_allclose(rows.propensity, noon()[1][rows.user, rows.item], rtol=1e-5)
    np.testing.assert_allclose(noon()[1].sum(axis=1), 1)


def test_doubly_robust_covers_the_simulators_truth_at_its_nominal_rate_and_counting_does_not() -> None:
    """200 seeded logs of 600 requests; the whole cross-fitted pipeline; truth over all users."""
    on_sale, _, clicks, scores = noon()
    policy = SoftmaxPolicy(on_sale, scores, 1.0)
    everyone = np.arange(len(clicks), dtype=np.int32)
    truth = float((policy.probabilities(everyone) * clicks[:, on_sale]).sum(axis=1).mean())
    held = dict.fromkeys(ESTIMATORS, 0)
    for seed in range(REPETITIONS):
        rows = evaluate_policies(noon_log(600, seed), [policy], scores, clicks.shape[1], CONFIG, seed)
        for row in rows[1:]:
            held[row.estimator] += row.low <= truth <= row.high
    low, high = binom.interval(0.999, REPETITIONS, 0.95)
    assert low <= held["doubly_robust"] <= high, held
    assert low <= held["snips"] <= high, held
    assert held["naive"] < 0.05 * REPETITIONS, held


def test_a_day_of_the_simulator_against_its_truth_for_four_policies() -> None:
    users, items = ids()
    log = logged_feedback(shop().interactions(Window.of_day(DAY)).read_all(), users, items, WEB_LOG)
    on_sale, _, _, scores = noon()
    policies = [*plain_policies(on_sale, np.arange(len(on_sale))), *model_policies("noisy", scores, on_sale, CONFIG)]
    rows = evaluate_policies(log, policies, scores, len(items), CONFIG, 0, click_truth)
    assert rows[0].policy == LOGGED
    assert rows[0].value == pytest.approx(log.reward[log.position == 0].mean())
    found = {(row.policy, row.estimator): row for row in rows[1:]}
    assert len({policy for policy, _ in found}) == 4
    assert sum(found[policy.name, "doubly_robust"].covers for policy in policies) >= 3
    assert not found["uniform", "naive"].covers
    assert not found["noisy softmax", "naive"].covers
    assert all(0.5 < row.mean_weight < 1.5 for (policy, _), row in found.items() if policy != "noisy greedy")


def test_the_truth_is_the_mean_over_logged_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    log, (on_sale, _, clicks, scores) = noon_log(50, 1), noon()
    policy = EpsilonGreedyPolicy(on_sale, scores, 0.0)
    best = on_sale[scores.values[log.user][:, on_sale].argmax(axis=1)]
    expected = pytest.approx(float(clicks[log.user, best].mean()), rel=1e-6)
    assert true_values(log, [policy], click_truth) == [expected]
    monkeypatch.setattr(off_policy_study, "BATCH_CELLS", 3 * len(on_sale))
    assert true_values(log, [policy], click_truth) == [expected]


def test_batches_and_items_outside_the_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    log, (on_sale, _, clicks, scores) = noon_log(80, 2), noon()
    folds = user_folds(log.user, 3, 0)
    models = {f: fit_reward_model(log.take(folds != f), scores, clicks.shape[1]) for f in range(3)}
    policy = SoftmaxPolicy(on_sale[::2], scores, 1.0)
    whole = policy_sample(log, policy, folds, models)
    monkeypatch.setattr(off_policy_study, "BATCH_CELLS", 1)
    small = policy_sample(log, policy, folds, models)
    np.testing.assert_allclose(whole.expected, small.expected)
    np.testing.assert_allclose(whole.target, small.target)
    outside = ~np.isin(log.item, policy.actions)
    assert outside.any()
    assert not whole.target[outside].any()
    row = int(np.flatnonzero(~outside)[0])  # the readable twin, for one row
    chance = policy.probabilities(log.user[row : row + 1])[0]
    reward = models[int(folds[row])].predict(log.user[row : row + 1], policy.actions)[0]
    column = policy.actions.tolist().index(int(log.item[row]))
    assert whole.target[row] == pytest.approx(chance[column])
    assert whole.predicted[row] == pytest.approx(reward[column])
    assert whole.expected[row] == pytest.approx(float(chance @ reward))


def test_no_user_is_in_two_folds() -> None:
    users = np.random.default_rng(0).integers(0, 30, 400).astype(np.int32)
    folds = user_folds(users, 4, 1)
    assert all(len(np.unique(folds[users == user])) == 1 for user in np.unique(users))
    assert set(folds) == {0, 1, 2, 3}
    with pytest.raises(SettingError, match="n_folds"):
        user_folds(users, 1, 0)


def test_the_reward_model_finds_the_slope_that_made_the_clicks() -> None:
    rng, n = np.random.default_rng(0), 20_000
    scores = Table(rng.standard_normal((200, 20)))
    user, item = rng.integers(0, 200, n).astype(np.int32), rng.integers(0, 20, n).astype(np.int32)
    chance = 1 / (1 + np.exp(2 - 0.8 * scores.values[user, item]))
    zeros = np.zeros(n, np.int64)
    log = LoggedFeedback(
        np.arange(n), user, item, zeros.astype(np.int32), (rng.random(n) < chance) + 0.0, np.full(n, 0.05), zeros
    )
    model = fit_reward_model(log, scores, 20)
    assert model.slope / model.scale == pytest.approx(0.8, abs=0.06)
    grid = model.predict(np.arange(200, dtype=np.int32), np.arange(20, dtype=np.int32))
    truth = 1 / (1 + np.exp(2 - 0.8 * scores.values))
    assert np.abs(grid - truth).mean() < 0.02


@pytest.mark.parametrize("reward", [0.0, 1.0])
def test_a_log_of_equal_rewards_gives_a_finite_model(reward: float) -> None:
    log, scores = noon_log(40, 0), noon()[3]
    same = LoggedFeedback(
        log.request, log.user, log.item, log.position, np.full(40, reward), log.propensity, log.timestamp_us
    )
    predicted = fit_reward_model(same, scores, len(ids()[1])).predict(log.user, noon()[0])
    assert np.isfinite(predicted).all()
    assert np.abs(predicted - reward).max() < 0.1


def test_scores_of_pairs_come_in_batches() -> None:
    user, item = np.array([2, 0, 2, 1], np.int32), np.array([4, 3, 0, 1], np.int32)
    assert scores_of_pairs(SCORES, user, item, batch_users=1).tolist() == SCORES.values[user, item].tolist()


def test_a_log_without_first_places_is_refused() -> None:
    log = noon_log(20, 0)
    lower = LoggedFeedback(
        log.request, log.user, log.item, log.position + 1, log.reward, log.propensity, log.timestamp_us
    )
    with pytest.raises(DataError, match="position 0"):
        evaluate_policies(lower, [], noon()[3], 200, CONFIG, 0)
    with pytest.raises(DataError, match="position 0"):
        fit_reward_model(lower, noon()[3], 200)


def test_whole_requests_are_sampled() -> None:
    users, items = ids()
    log = logged_feedback(shop().interactions(Window.of_day(DAY)).read_all(), users, items, WEB_LOG)
    part = sampled_requests(log, 30, 0)
    assert len(np.unique(part.request)) == 30
    assert len(part) == 30 * shop().config.slate_size
    assert sampled_requests(log, 10_000, 0) is log
    np.testing.assert_array_equal(part.request, sampled_requests(log, 30, 0).request)


def test_the_simulator_knows_the_truth_and_a_reward_model_is_no_source() -> None:
    assert isinstance(shop(), KnowsTruth)
    assert not isinstance(RewardModel, KnowsTruth)
