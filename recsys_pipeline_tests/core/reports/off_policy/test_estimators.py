"""Off-policy estimators: exact expectations, identities, coverage, and the paradox that the naive one falls for."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from recsys_pipeline.core.errors import DataError, SettingError
from recsys_pipeline.core.reports.accuracy.resampling import bootstrap_sums
from recsys_pipeline.core.reports.off_policy import estimators as off_policy
from recsys_pipeline.core.reports.off_policy.estimators import (
    ESTIMATORS,
    PolicyEstimate,
    PolicySample,
    effective_n,
    estimate_policy,
    estimates_loop,
    estimator,
    interval_of,
)
from recsys_pipeline.core.reports.off_policy.tabular_bandit import (
    CLICKS,
    IMPRESSIONS,
    TITLES,
    TabularBandit,
    TabularLog,
    always,
    paradox_estimates,
    simpsons_paradox,
)

REPETITIONS = 200
SMALL = TabularBandit(
    share=np.array([0.3, 0.7]),
    logging=np.array([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]]),
    reward=np.array([[0.2, 0.9, 0.5], [0.4, 0.1, 0.7]]),
)
TARGET = np.array([[0.1, 0.1, 0.8], [0.6, 0.3, 0.1]])


def random_sample(n: int, seed: int) -> PolicySample:
    rng = np.random.default_rng(seed)
    return PolicySample(
        reward=rng.normal(size=n),
        propensity=rng.uniform(0.05, 1, n),
        target=rng.uniform(0.01, 1, n),
        predicted=rng.random(n),
        expected=rng.random(n),
        cluster=rng.integers(0, max(n // 3, 2), n),
    )


def values(sample: PolicySample, clip: float = 0.0) -> dict[str, float]:
    return {row.estimator: row.value for row in estimate_policy("target", sample, clip)}


samples = st.builds(random_sample, st.integers(2, 60), st.integers(0, 1000))


@given(samples, st.floats(0.5, 20))
def test_every_estimator_equals_its_loop(sample: PolicySample, clip: float) -> None:
    assert values(sample, clip) == pytest.approx(estimates_loop(sample, clip))


@given(samples)
def test_clipping_above_all_weights_is_ips(sample: PolicySample) -> None:
    found = values(sample, math.inf)
    assert found["clipped_ips"] == pytest.approx(found["ips"])


@given(samples)
def test_doubly_robust_without_a_model_is_ips(sample: PolicySample) -> None:
    blank = dataclasses.replace(sample, predicted=sample.predicted * 0, expected=sample.expected * 0)
    found = values(blank)
    assert found["doubly_robust"] == pytest.approx(found["ips"])


@given(samples, st.floats(-5, 5))
def test_snips_moves_with_a_constant_and_ips_does_not(sample: PolicySample, constant: float) -> None:
    moved = dataclasses.replace(sample, reward=sample.reward + constant)
    assert values(moved)["snips"] == pytest.approx(values(sample)["snips"] + constant)
    shift = constant * sample.weight.mean()
    assert values(moved)["ips"] == pytest.approx(values(sample)["ips"] + shift)


@given(samples)
def test_the_order_of_rows_does_not_matter(sample: PolicySample) -> None:
    columns = {field.name: getattr(sample, field.name)[::-1] for field in dataclasses.fields(sample)}
    back = estimate_policy("target", PolicySample(**columns))
    for row, other in zip(estimate_policy("target", sample), back, strict=True):
        expected = pytest.approx((other.value, other.low, other.effective_n), nan_ok=True)
        assert (row.value, row.low, row.effective_n) == expected


def exact_expectation(name: str, predicted: np.ndarray) -> float:
    """The mean of an estimate of two decisions, over every log that can happen."""
    total = 0.0
    cells = list(itertools.product(range(2), range(3), (0.0, 1.0)))
    for first, second in itertools.product(cells, cells):
        context, action, reward = (np.array(column) for column in zip(first, second, strict=True))
        chance = SMALL.reward[context, action]
        likelihood = SMALL.share[context] * SMALL.logging[context, action] * np.where(reward, chance, 1 - chance)
        log = TabularLog(context, action, reward, SMALL.logging[context, action], SMALL.logging.shape)
        total += likelihood.prod() * ESTIMATORS[name](log.sample(TARGET, predicted[context]), 1.0).value
    return float(total)


@pytest.mark.parametrize("name", ["ips", "doubly_robust"])
def test_expectation_over_every_possible_log_is_the_truth(name: str) -> None:
    wrong_model = np.array([[0.9, 0.0, 0.3], [0.2, 0.8, 0.1]])
    assert exact_expectation(name, wrong_model) == pytest.approx(SMALL.value(TARGET), abs=1e-12)


def test_the_direct_method_is_as_right_as_its_model() -> None:
    assert exact_expectation("direct", SMALL.reward) == pytest.approx(SMALL.value(TARGET), abs=1e-12)
    assert exact_expectation("direct", SMALL.reward + 0.1) == pytest.approx(SMALL.value(TARGET) + 0.1, abs=1e-12)


def test_clipping_loses_reward() -> None:
    lost = (SMALL.share[:, None] * (TARGET - np.minimum(TARGET, SMALL.logging)) * SMALL.reward).sum()
    assert exact_expectation("clipped_ips", SMALL.reward) == pytest.approx(SMALL.value(TARGET) - lost, abs=1e-12)


def test_interval_is_that_of_the_bootstrap_over_users() -> None:
    sample = random_sample(3000, 5)
    found = ESTIMATORS["snips"](sample, 1.0)
    low, high = interval_of(found, sample.cluster)
    _, at = np.unique(sample.cluster, return_inverse=True)
    sums = [np.bincount(at, sample.weight * sample.reward), np.bincount(at, sample.weight)]
    drawn = bootstrap_sums(np.stack(sums, axis=1), seed=0, n_resamples=2000)
    expected = np.quantile(drawn[:, 0] / drawn[:, 1], [0.025, 0.975])
    width = high - low
    np.testing.assert_allclose([low, high], expected, atol=0.08 * width)


def test_repeating_rows_within_a_user_adds_no_certainty() -> None:
    sample = dataclasses.replace(random_sample(50, 1), cluster=np.arange(50))
    columns = {field.name: np.repeat(getattr(sample, field.name), 4) for field in dataclasses.fields(sample)}
    for row, repeated in zip(
        estimate_policy("a", sample, 5.0), estimate_policy("a", PolicySample(**columns), 5.0), strict=True
    ):
        assert (repeated.low, repeated.high) == pytest.approx((row.low, row.high))


def test_effective_sample_size_is_kishs() -> None:
    assert effective_n(np.ones(7)) == pytest.approx(7)
    assert effective_n(np.array([1.0, 0.0, 0.0])) == pytest.approx(1)
    assert effective_n(np.array([3.0, 1.0])) == pytest.approx(16 / 10)


def test_what_says_whether_to_trust_a_figure() -> None:
    n = 4
    sample = PolicySample(
        np.ones(n), np.full(n, 0.1), np.array([0.1, 0.1, 0.8, 0.0]), np.ones(n), np.ones(n), np.arange(n)
    )
    row = next(row for row in estimate_policy("a", sample) if row.estimator == "clipped_ips")
    assert row.mean_weight == pytest.approx(2.5)
    assert row.share_clipped == pytest.approx(0.25)  # one weight of 8 above the default √4
    assert row.max_weight == pytest.approx(2.0)
    assert row.value == pytest.approx(1.0)
    assert row.n == n


def test_a_policy_that_the_log_never_follows_is_undefined_with_a_warning() -> None:
    sample = dataclasses.replace(random_sample(10, 0), target=np.zeros(10))
    with pytest.warns(UserWarning, match="never does what it would do"):
        rows = {row.estimator: row for row in estimate_policy("a", sample)}
    assert not math.isnan(rows.pop("direct").value)
    assert all(math.isnan(row.value) and math.isnan(row.low) and not row.covers for row in rows.values())


def test_no_rows_are_undefined_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="undefined"):
        rows = estimate_policy("a", random_sample(0, 0), truth=0.5)
    assert all(math.isnan(row.value) and row.n == 0 for row in rows)


def test_one_user_has_no_interval() -> None:
    sample = dataclasses.replace(random_sample(5, 0), cluster=np.zeros(5, np.int64))
    assert all(math.isnan(row.low) and not math.isnan(row.value) for row in estimate_policy("a", sample))


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("propensity", 0.0, r"propensity in row 2 is 0.0"),
        ("propensity", 1.1, r"propensity in row 2"),
        ("target", -0.1, r"target in row 2"),
        ("reward", np.nan, r"reward in row 2 is nan"),
        ("predicted", np.inf, r"predicted in row 2"),
    ],
)
def test_a_bad_row_is_named(column: str, value: float, message: str) -> None:
    sample = random_sample(4, 0)
    bad = getattr(sample, column).copy()
    bad[2] = value
    with pytest.raises(DataError, match=message):
        dataclasses.replace(sample, **{column: bad})


def test_settings_are_checked() -> None:
    with pytest.raises(SettingError, match="clip is -1"):
        estimate_policy("a", random_sample(3, 0), clip=-1.0)
    with pytest.raises(SettingError, match="'ips'"):
        estimator("ips")(off_policy.ips)


def charig_log() -> TabularLog:
    """The 700 published cases, one row each."""
    context, action = np.indices((2, 2)).reshape(2, -1)
    shown, clicked = IMPRESSIONS.ravel(), CLICKS.ravel()
    reward = np.concatenate([np.arange(n) < k for n, k in zip(shown, clicked, strict=True)]).astype(np.float64)
    rows = np.repeat(np.arange(4), shown)
    logging = simpsons_paradox().logging
    return TabularLog(context[rows], action[rows], reward, logging[context[rows], action[rows]], (2, 2))


def test_the_published_paradox_to_the_digit() -> None:
    """273/350 and 289/350 as published (Charig 1986); 83% and 78% once weighed by the share of each segment."""
    log = charig_log()
    found = {title: values(log.sample(always(i, (2, 2)), np.zeros((700, 2)))) for i, title in enumerate(TITLES)}
    assert (found["niche"]["naive"], found["popular"]["naive"]) == pytest.approx((273 / 350, 289 / 350))
    standardised = [
        sum(n * k / m for n, k, m in zip((357, 343), CLICKS[:, i], IMPRESSIONS[:, i], strict=True)) / 700
        for i in range(2)
    ]
    assert [found[title]["ips"] for title in TITLES] == pytest.approx(standardised)
    assert [round(value, 3) for value in standardised] == [0.833, 0.779]


def zipf_bandit() -> TabularBandit:
    """Thirty items shown by popularity and more so to keen users, who click more on anything."""
    rng = np.random.default_rng(11)
    popularity = np.arange(1, 31) ** -1.0
    keen = np.linspace(0, 1, 10)[:, None]
    logging = popularity ** (0.3 + 0.9 * keen)
    logging = 0.8 * logging / logging.sum(axis=1, keepdims=True) + 0.2 / 30
    reward = 0.05 + 0.75 * keen + 0.15 * rng.random((10, 30))
    return TabularBandit(np.full(10, 0.1), logging, reward)


def coverage(rows: list[PolicyEstimate]) -> dict[str, float]:
    names = dict.fromkeys(row.estimator for row in rows)
    return {name: float(np.mean([row.covers for row in rows if row.estimator == name])) for name in names}


NOMINAL = binom.interval(0.999, REPETITIONS, 0.95)


@pytest.mark.parametrize("where", ["paradox", "zipf"])
def test_doubly_robust_covers_the_truth_at_its_nominal_rate_and_the_naive_estimate_does_not(where: str) -> None:
    """Over 200 seeded logs; the count of intervals that hold the truth must be one that 95% makes likely."""
    bandit = simpsons_paradox() if where == "paradox" else zipf_bandit()
    policy = always(0, bandit.reward.shape)
    rows = []
    for seed in range(REPETITIONS):
        log = bandit.log(1500, seed)
        sample = log.sample(policy, log.cross_fitted(5, seed))
        rows += estimate_policy(where, sample, truth=bandit.value(policy))
    found = coverage(rows)
    for name in ("ips", "snips", "doubly_robust"):
        assert NOMINAL[0] <= REPETITIONS * found[name] <= NOMINAL[1], found
    assert found["naive"] < 0.2, found


def test_counting_reverses_the_order_that_the_weighted_estimates_see() -> None:
    rows = [row for seed in range(50) for row in paradox_estimates(1500, seed)]
    by_name = {
        name: np.array(
            [[row.value for row in rows if (row.policy, row.estimator) == (title, name)] for title in TITLES]
        )
        for name in ESTIMATORS
    }
    niche_wins = {name: float((found[0] > found[1]).mean()) for name, found in by_name.items()}
    assert niche_wins["naive"] < 0.1, niche_wins
    assert min(niche_wins["snips"], niche_wins["doubly_robust"]) > 0.9, niche_wins
