"""The chain: hyperparameters, time bins, the schedule, and the descent that is left without the noise."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_pipeline.core.learning.gibbs.conditionals import GibbsDraws
from recsys_pipeline.core.learning.gibbs.modes import Modes, objective_value
from recsys_pipeline.core.learning.gibbs.posterior import centre, sample_posterior
from recsys_pipeline.core.learning.gibbs.sampler import Sampler, Schedule, Terms, run_chain
from recsys_pipeline.core.learning.gibbs.time import BinEffects, BinSettings, TimeBins
from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline_tests.strategies import ratings

DAY_US = 86_400_000_000
ALL_TERMS = Terms(3, user_history=True, item_history=True, bins=BinSettings(item_bins=3, user_bin_days=0.2))
MODES = Modes(reg=2.0, bias_reg=1.0, history_reg=3.0, time_reg=2.0, frequency_power=0.7)


def chain_of_modes(train: Ratings, terms: Terms = ALL_TERMS) -> Sampler:
    values = train.value - np.float32(centre(train)[0])
    return Sampler(train, values, terms, MODES, np.random.default_rng(0))


@settings(max_examples=12)  # a sweep of a dozen ratings is mostly type checks
@given(ratings(), st.booleans(), st.booleans())
def test_no_sweep_of_modes_raises_the_objective(train: Ratings, user_history: bool, item_history: bool) -> None:
    terms = dataclasses.replace(ALL_TERMS, user_history=user_history, item_history=item_history)
    chain = chain_of_modes(train, terms)
    values = []
    for _ in range(4):
        chain.sweep()
        values.append(objective_value(chain))
    assert all(after <= before * (1 + 1e-5) + 1e-5 for before, after in itertools.pairwise(values))


def some_ratings(n_users: int = 12, n_items: int = 9, share: float = 0.6) -> Ratings:
    generator = np.random.default_rng(1)
    user, item = (ids.astype(np.int32) for ids in np.nonzero(generator.random((n_users, n_items)) < share))
    times = generator.integers(0, DAY_US, len(user))
    return Ratings(user, item, generator.normal(3, 1, len(user)).astype(np.float32), times, n_users, n_items)


def test_modes_end_where_no_direction_leads_down() -> None:
    chain = chain_of_modes(some_ratings())
    for _ in range(200):
        chain.sweep()
    best, generator = objective_value(chain), np.random.default_rng(2)
    blocks = [chain.users.rows, chain.items.rows, chain.users.vectors, chain.items.vectors]
    blocks += [bins.values for bins in chain.bins]
    for block in blocks:
        kept, step = block.copy(), generator.standard_normal(block.shape).astype(np.float32)
        slopes = []
        for sign in (1, -1):
            block[:] = kept + sign * 0.01 * step
            slopes.append(objective_value(chain) - best)
        block[:] = kept
        curvature = sum(slopes)
        assert curvature > 0
        assert abs(slopes[0] - slopes[1]) < 0.05 * curvature  # at a minimum both sides rise alike


def test_hyperparameters_are_drawn_from_their_posterior() -> None:
    rows = np.random.default_rng(3).normal(0.5, 0.3, (40, 1)).astype(np.float32)
    draws = GibbsDraws(np.random.default_rng(4))
    found = np.array([np.concatenate(draws.hyper(rows)) for _ in range(4000)])
    n, mean = len(rows), float(rows.mean())
    scatter = float(((rows - mean) ** 2).sum()) + n / (n + 1) * mean**2
    precision = (GibbsDraws.SHAPE + n / 2) / (GibbsDraws.RATE + scatter / 2)
    np.testing.assert_allclose(found.mean(axis=0), [n * mean / (n + 1), precision], rtol=0.02)
    assert found[:, 0].std() == pytest.approx(1 / np.sqrt(precision * (n + 1)), rel=0.1)


def test_the_schedule_keeps_the_states_it_says() -> None:
    schedule = Schedule(burn_in=2, samples=3, thin=2)
    kept = [is_kept for _, is_kept in run_chain(chain_of_modes(some_ratings()), schedule)]
    assert kept == [False, False, False, True, False, True, False, True]
    assert schedule.n_sweeps == len(kept)


def test_scaled_and_shifted_values_give_scaled_and_shifted_scores() -> None:
    train = some_ratings()
    other = dataclasses.replace(train, value=train.value * 20 - 7)
    scores = []
    for rows in (train, other):
        posterior = sample_posterior(rows, ALL_TERMS, Schedule(2, 3, 1), seed=0)
        scores.append(posterior.user_matrix @ posterior.item_matrix.T)
    np.testing.assert_allclose(scores[1], scores[0] * 20 - 7, atol=0.02)


def test_bins_are_equal_stretches_and_instants_outside_take_the_nearest() -> None:
    train = some_ratings()
    at = np.array([0, 3, 4, 11, 12, 20]) * np.int64(DAY_US)
    ends = dataclasses.replace(train.take(np.arange(2)), timestamp_us=np.array([0, 12]) * np.int64(DAY_US))
    asked = dataclasses.replace(train.take(np.arange(6)), timestamp_us=at, item=np.full(6, 2, np.int32))
    asked = dataclasses.replace(asked, user=np.full(6, 5, np.int32))
    bins = TimeBins.over(ends, BinSettings(item_bins=3, user_bin_days=5.0))
    assert (bins.item_keys(asked) - 2 * 3).tolist() == [0, 0, 1, 2, 2, 2]
    assert (bins.user_keys(asked) - 5 * 3).tolist() == [0, 0, 0, 2, 2, 2]
    assert bins.last_keys(4).tolist() == [2, 5, 8, 11]


def test_a_bin_without_ratings_has_no_effect() -> None:
    effects = BinEffects(np.array([3, 8]), np.array([0.5, -1.0], np.float32))
    assert effects.of(np.array([8, 2, 3, 9])).tolist() == [-1.0, 0.0, 0.5, 0.0]
    assert BinEffects(np.empty(0, np.int64), np.empty(0, np.float32)).of(np.array([4])).tolist() == [0.0]
