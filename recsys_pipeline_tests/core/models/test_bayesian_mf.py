"""The registered Bayesian rating model; its kernels and its chain are tested in core/learning."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from recsys_pipeline.core.errors import ModelError, SettingError
from recsys_pipeline.core.models import bayesian_mf
from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline_tests.model_battery import ModelBattery, planted_blocks

CONFIG = bayesian_mf.BayesianMfConfig(embedding_size=5, burn_in=5, samples=10, thin=1)
SHORT = dataclasses.asdict(CONFIG)
COLUMNS = ("user", "item", "value", "timestamp_us")


class TestBayesianMf(ModelBattery):
    model = "bayesian_mf"
    config = SHORT
    floor = 0.4  # 16 values per user, and only those that are observed
    fold_in_atol = 1e-4


class TestWithoutHistories(ModelBattery):
    model = "bayesian_mf"
    config = {**SHORT, "user_history": False, "item_history": False}  # noqa: RUF012 - a class constant, as in the base
    floor = 0.35
    fold_in_atol = 1e-4


def simulated(seed: int, n_users: int = 60, n_items: int = 60) -> tuple[Ratings, np.ndarray]:
    """A third of the pairs of the model's own distribution, with noise of .5, and all true scores.

    The last ten items have no rating.
    """
    generator = np.random.default_rng(seed)
    user, item = generator.normal(0, 0.8, (n_users, 2)), generator.normal(0, 0.8, (n_items, 2))
    bias_u, bias_i = generator.normal(0, 0.4, n_users), generator.normal(0, 0.4, n_items)
    truth = 3 + user @ item.T + bias_u[:, None] + bias_i
    shown = generator.random(truth.shape) < 0.33
    shown[:, -10:] = False
    row, column = (ids.astype(np.int32) for ids in np.nonzero(shown))
    values = (truth[row, column] + generator.normal(0, 0.5, len(row))).astype(np.float32)
    return Ratings(row, column, values, np.zeros(len(row), np.int64), n_users, n_items), truth


PLAIN = bayesian_mf.BayesianMfConfig(
    embedding_size=2, user_history=False, item_history=False, burn_in=60, samples=60, thin=3
)


def test_deviations_cover_the_truth_as_often_as_they_say() -> None:
    seen, unseen, width = [], [], []
    for seed in range(4):
        train, truth = simulated(seed)
        model, users = bayesian_mf.fit(train, PLAIN, seed), np.arange(train.n_users, dtype=np.int32)
        deviations = model.score_deviations(users)
        covered = np.abs(model.scores(users) - truth) < 1.96 * deviations
        seen.append(covered[:, :-10].mean())
        unseen.append(covered[:, -10:].mean())
        width.append(deviations[:, :-10].mean() / deviations[:, -10:].mean())
    assert np.mean(seen) == pytest.approx(0.95, abs=0.025)
    assert np.mean(unseen) == pytest.approx(0.95, abs=0.05)
    assert np.mean(width) < 0.5  # of an item without ratings far less is known


def test_a_longer_history_leaves_less_doubt() -> None:
    train, _ = simulated(0)
    model = bayesian_mf.fit(train, PLAIN, 0)
    own = train.take(train.user == 0)
    few = model.for_users(dataclasses.replace(own.take(np.arange(3)), n_users=1))
    assert isinstance(few, bayesian_mf.BayesianMfModel)
    one = np.zeros(1, np.int32)
    assert few.score_deviations(one).mean() > 1.2 * model.score_deviations(one).mean()


def test_an_item_that_nobody_rated_says_nothing_of_a_new_user() -> None:
    train, _ = simulated(0)
    model = bayesian_mf.fit(train, dataclasses.replace(PLAIN, user_history=True, samples=5), 0)
    own = dataclasses.replace(train.take(train.user == 0), n_users=1)
    extra = dataclasses.replace(own.take(np.arange(1)), item=np.array([59], np.int32))
    columns = {name: np.concatenate([getattr(own, name), getattr(extra, name)]) for name in COLUMNS}
    both = Ratings(**columns, n_users=1, n_items=own.n_items)
    np.testing.assert_array_equal(model.fold_in(both), model.fold_in(own))


def test_deviations_survive_the_file_and_need_two_states(tmp_path: Path) -> None:
    train, users = planted_blocks()[0], np.array([4, 0], np.int32)
    for samples in (2, 1):
        config = bayesian_mf.BayesianMfConfig(embedding_size=3, burn_in=1, samples=samples, thin=1)
        model = bayesian_mf.fit(train, config, 0)
        model.save(tmp_path)
        loaded = bayesian_mf.BayesianMfModel.load(tmp_path)
        assert isinstance(loaded, bayesian_mf.BayesianMfModel)
        if samples == 2:
            np.testing.assert_array_equal(loaded.score_deviations(users), model.score_deviations(users))
            with pytest.raises(ModelError, match="user 60"):
                model.score_deviations(np.array([60], np.int32))
        else:
            with pytest.raises(ModelError, match="samples of at least 2"):
                loaded.score_deviations(users)


def test_averaging_states_beats_the_single_one() -> None:
    train, truth = simulated(5)
    users = np.arange(train.n_users, dtype=np.int32)
    errors = [
        np.square(bayesian_mf.fit(train, dataclasses.replace(PLAIN, samples=n), 5).scores(users) - truth).mean()
        for n in (1, 60)
    ]
    assert errors[1] < 0.9 * errors[0]


def test_progress_hears_each_sweep() -> None:
    heard: list[tuple[str, dict[str, float]]] = []
    config = bayesian_mf.BayesianMfConfig(embedding_size=3, burn_in=2, samples=2, thin=2)
    bayesian_mf.fit(planted_blocks()[0], config, 0, lambda step, metrics: heard.append((step, metrics)))
    assert [step for step, _ in heard] == [f"sweep {number}/6" for number in range(1, 7)]
    assert heard[-1][1]["rmse"] < heard[0][1]["rmse"]


@pytest.mark.parametrize("value", [0.0, 4.0])
def test_constant_ratings_are_predicted_everywhere(value: float) -> None:
    train = planted_blocks()[0]
    constant = dataclasses.replace(train, value=np.full(len(train), value, np.float32))
    model = bayesian_mf.fit(constant, CONFIG, 0)
    users = np.arange(train.n_users, dtype=np.int32)
    np.testing.assert_allclose(model.scores(users), value, atol=0.15)


def test_more_factors_than_items_and_repeated_pairs_are_no_harm() -> None:
    train = planted_blocks()[0]
    twice = train.take(np.tile(np.arange(len(train)), 2))
    model = bayesian_mf.fit(twice, bayesian_mf.BayesianMfConfig(embedding_size=50, burn_in=2, samples=3, thin=1), 0)
    predicted = model.values(train)
    assert np.sqrt(np.square(predicted - train.value).mean()) < 0.7 < train.value.std()


@pytest.mark.parametrize("bad", [{"samples": 0}, {"thin": 0}, {"embedding_size": 0}, {"user_time_bin_days": -1.0}])
def test_a_config_checks_itself(bad: dict) -> None:
    with pytest.raises(SettingError, match=next(iter(bad))):
        bayesian_mf.BayesianMfConfig(**bad)
