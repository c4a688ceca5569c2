"""The registered SVD++ model; its kernels and its descent are tested in core/learning."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from recsys_pipeline.core.errors import DataError, ModelError, SettingError
from recsys_pipeline.core.models import svdpp
from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline_tests.model_battery import ModelBattery, planted_blocks

SMALL = svdpp.SvdppConfig(embedding_size=5, reg=2.0, bias_reg=1.0, history_reg=2.0)
DAY_US = 86_400_000_000


class TestSvdpp(ModelBattery):
    model = "svdpp"
    config = dataclasses.asdict(SMALL)
    floor = 0.4  # 16 values per user, and only those that are observed
    fold_in_atol = 1e-4


class TestWithItemBins(ModelBattery):
    model = "svdpp"
    config = {**dataclasses.asdict(SMALL), "item_time_bins": 3, "user_history": False}  # noqa: RUF012 - a class constant, as in the base
    floor = 0.4
    fold_in_atol = 1e-4


def drifting(n_users: int = 60, n_items: int = 20) -> Ratings:
    """Even items fall from 4 to 2 half way, odd ones rise; each user rates half of the items on a day of its own."""
    generator = np.random.default_rng(0)
    user, item = (ids.astype(np.int32) for ids in np.nonzero(generator.random((n_users, n_items)) < 0.5))
    late = user >= n_users // 2
    value = np.where(late == (item % 2 == 0), 2.0, 4.0).astype(np.float32)
    return Ratings(user, item, value, user.astype(np.int64) * DAY_US, n_users, n_items)


def test_item_bins_follow_the_drift_and_scores_are_those_of_today() -> None:
    train = drifting()
    config = dataclasses.replace(SMALL, embedding_size=1, reg=200.0, item_time_bins=4, time_reg=0.5)
    model = svdpp.fit(train, dataclasses.replace(config, user_history=False, item_history=False), 0)
    error = model.values(train) - train.value
    assert np.sqrt(np.square(error).mean()) < 0.4
    early, item = np.zeros(1, np.int32), np.arange(20)
    today = np.where(item % 2 == 0, 2.0, 4.0)
    assert np.abs(model.scores(early)[0] - today).mean() < 0.5  # also for a user who was last seen on day 0


def test_values_on_the_last_day_are_the_scores() -> None:
    train = drifting()
    model = svdpp.fit(train, dataclasses.replace(SMALL, item_time_bins=4), 0)
    now = dataclasses.replace(train, timestamp_us=np.full(len(train), train.timestamp_us.max()))
    np.testing.assert_allclose(
        model.values(now), model.scores(train.user)[np.arange(len(train)), train.item], rtol=1e-5
    )
    with pytest.raises(ModelError, match="user 60"):
        model.values(dataclasses.replace(train, user=train.user + 1, n_users=61))


def test_user_bins_hold_what_is_special_about_a_day(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    user, item = (ids.astype(np.int32) for ids in np.nonzero(np.ones((10, 40))))
    day = generator.integers(0, 5, len(user))
    mood = generator.normal(0, 1, (10, 5))
    value = (3 + mood[user, day] + generator.normal(0, 0.1, len(user))).astype(np.float32)
    train = Ratings(user, item, value, day * np.int64(DAY_US), 10, 40)
    config = dataclasses.replace(SMALL, reg=200.0, user_time_bin_days=1.0, time_reg=0.1)
    svdpp.fit(train, config, 0).save(tmp_path)
    model = svdpp.SvdppModel.load(tmp_path)
    assert np.sqrt(np.square(model.values(train) - train.value).mean()) < 0.3
    folded_in = model.for_users(train)  # new users: nothing is known of their days
    assert np.sqrt(np.square(folded_in.values(train) - train.value).mean()) > 0.7


def test_what_was_rated_says_more_than_the_values_alone() -> None:
    train, liked = planted_blocks()
    silent = train.user < 20  # their values say nothing: only which items they took tells their block
    train = dataclasses.replace(train, value=np.where(silent, np.float32(3), train.value))
    users = np.arange(20, dtype=np.int32)

    def gap(user_history: bool) -> float:
        config = dataclasses.replace(SMALL, user_history=user_history, item_history=False, reg=10.0)
        scores = svdpp.fit(train, config, 0).scores(users)
        return float(scores[liked[:20]].mean() - scores[~liked[:20]].mean())

    assert gap(True) > 2 * gap(False)


def test_progress_hears_a_falling_objective() -> None:
    heard: list[tuple[str, dict[str, float]]] = []
    svdpp.fit(planted_blocks()[0], dataclasses.replace(SMALL, epochs=3), 0, lambda *told: heard.append(told))
    assert [step for step, _ in heard] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    assert heard[0][1]["objective"] > heard[2][1]["objective"]


def test_constant_ratings_are_predicted_everywhere() -> None:
    train = planted_blocks()[0]
    constant = dataclasses.replace(train, value=np.full(len(train), 4, np.float32))
    model = svdpp.fit(constant, SMALL, 0)
    np.testing.assert_allclose(model.scores(np.arange(train.n_users, dtype=np.int32)), 4, atol=1e-3)


def test_penalties_too_small_for_float32_are_an_error() -> None:
    config = dataclasses.replace(SMALL, embedding_size=30, reg=1e-30, bias_reg=1e-30)
    with pytest.raises(ModelError, match="raise reg"):
        svdpp.fit(planted_blocks()[0], config, seed=0)


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [("value", np.nan, "row 3 is nan"), ("item", 40, "outside 0..39"), ("user", -1, "outside 0..59")],
)
def test_broken_rows_reach_no_kernel(column: str, value: float, says: str) -> None:
    train = planted_blocks()[0]
    broken = getattr(train, column).copy()
    broken[3] = value
    with pytest.raises(DataError, match=says):
        svdpp.fit(dataclasses.replace(train, **{column: broken}), SMALL, 0)


@pytest.mark.parametrize("bad", [{"reg": 0.0}, {"embedding_size": 0}, {"frequency_power": 3.0}, {"epochs": 0}])
def test_a_config_checks_itself(bad: dict) -> None:
    with pytest.raises(SettingError, match=next(iter(bad))):
        svdpp.SvdppConfig(**bad)
