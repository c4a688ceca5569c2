"""What every interactions model must pass: subclass `ModelBattery` with the model's name in a test module.

    class TestPopularity(ModelBattery):
        model = "popularity"

`config` holds settings that make the model small and quick; `floor` is the share that a user's own items must have
among the first three unseen ones, where chance gives about one in eight; `fold_in_atol` is how far the scores of a
training user may move when that user is folded in by the same history.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from recsys_pipeline.core.configs import parse_config
from recsys_pipeline.core.errors import ArtifactError, ModelError, SettingError
from recsys_pipeline.core.models import ModelSpec, discover
from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline.core.recommenders import Recommender

N_BLOCKS, USERS_PER_BLOCK, ITEMS_PER_BLOCK = 4, 15, 10
N_NEW_USERS = 12
SEED = 7


def planted_blocks(seed: int = 0, kept_share: float = 0.6) -> tuple[Ratings, np.ndarray]:
    """Users like the items of their own block; 60% of these pairs are observed. Also `[users, items]`: who likes what.

    One pair in fifty outside the blocks is observed too, so that no model can win by splitting components.
    """
    generator = np.random.default_rng(seed)
    n_users, n_items = N_BLOCKS * USERS_PER_BLOCK, N_BLOCKS * ITEMS_PER_BLOCK
    liked = np.equal.outer(np.arange(n_users) % N_BLOCKS, np.arange(n_items) % N_BLOCKS)
    chance = np.where(liked, kept_share, 0.02)
    user, item = np.nonzero(generator.random((n_users, n_items)) < chance)
    value = np.where(liked[user, item], 5.0, 1.0).astype(np.float32)
    return _ratings(user, item, value, n_users, n_items), liked


def _ratings(user: Any, item: Any, value: Any, n_users: int, n_items: int) -> Ratings:
    columns = np.asarray(user, np.int32), np.asarray(item, np.int32), np.asarray(value, np.float32)
    return Ratings(*columns, np.arange(len(columns[0]), dtype=np.int64), n_users, n_items)


class ModelBattery:
    """One test per promise of the `Recommender` protocol."""

    model: ClassVar[str]
    config: ClassVar[dict[str, Any]] = {}
    floor: ClassVar[float] = 0.7
    fold_in_atol: ClassVar[float] = 0.0

    @pytest.fixture
    def spec(self) -> ModelSpec:
        return discover()[self.model]

    @pytest.fixture
    def fitted(self, spec: ModelSpec) -> Any:
        return self._fit(spec, planted_blocks()[0])

    def _fit(self, spec: ModelSpec, train: Ratings) -> Any:
        return spec.fit(train, parse_config(spec.config, self.config), SEED)

    def test_config_survives_json(self, spec: ModelSpec) -> None:
        config = parse_config(spec.config, self.config)
        written = json.loads(json.dumps(dataclasses.asdict(config)))
        assert parse_config(spec.config, written) == config
        assert all(field.metadata.get("help") for field in dataclasses.fields(spec.config))

    def test_unknown_setting_is_refused(self, spec: ModelSpec) -> None:
        with pytest.raises(SettingError, match="no_such_setting"):
            parse_config(spec.config, {"no_such_setting": 1})

    def test_scores_have_the_right_shape_and_are_finite(self, fitted: Any) -> None:
        scores = fitted.scores(np.array([3, 0, 3], np.int32))
        assert scores.shape == (3, N_BLOCKS * ITEMS_PER_BLOCK)
        assert scores.dtype == np.float32
        assert np.isfinite(scores).all()
        np.testing.assert_array_equal(scores[0], scores[2])

    def test_scores_do_not_depend_on_the_batch(self, fitted: Any) -> None:
        everyone = np.arange(N_BLOCKS * USERS_PER_BLOCK, dtype=np.int32)
        one_by_one = np.concatenate([fitted.scores(everyone[user : user + 1]) for user in everyone])
        np.testing.assert_allclose(fitted.scores(everyone), one_by_one, rtol=1e-5, atol=1e-6)

    def test_no_users_no_scores(self, fitted: Any) -> None:
        assert fitted.scores(np.array([], np.int32)).shape == (0, N_BLOCKS * ITEMS_PER_BLOCK)

    @pytest.mark.parametrize("unknown", [-1, N_BLOCKS * USERS_PER_BLOCK])
    def test_unknown_user_is_an_error(self, fitted: Any, unknown: int) -> None:
        with pytest.raises(ModelError, match=str(unknown)):
            fitted.scores(np.array([0, unknown], np.int32))

    @pytest.mark.parametrize("n_ratings", [0, 1])
    def test_hardly_any_ratings_give_finite_scores(self, spec: ModelSpec, n_ratings: int) -> None:
        model = self._fit(spec, _ratings([0] * n_ratings, [1] * n_ratings, [4.0] * n_ratings, 2, 3))
        scores = model.scores(np.arange(2, dtype=np.int32))
        assert scores.shape == (2, 3)
        assert np.isfinite(scores).all()

    def test_saved_and_loaded_scores_are_equal_to_the_bit(self, spec: ModelSpec, fitted: Any, tmp_path: Path) -> None:
        fitted.save(tmp_path / "model")
        loaded = spec.load(tmp_path / "model")
        users = np.arange(N_BLOCKS * USERS_PER_BLOCK, dtype=np.int32)
        np.testing.assert_array_equal(loaded.scores(users), fitted.scores(users))
        assert loaded.predicts_values == fitted.predicts_values

    def test_absent_model_is_an_error_that_names_the_folder(self, spec: ModelSpec, tmp_path: Path) -> None:
        with pytest.raises(ArtifactError, match=str(tmp_path)):
            spec.load(tmp_path)

    def test_same_seed_same_model(self, spec: ModelSpec, fitted: Any) -> None:
        users = np.arange(N_BLOCKS * USERS_PER_BLOCK, dtype=np.int32)
        again = self._fit(spec, planted_blocks()[0])
        np.testing.assert_array_equal(again.scores(users), fitted.scores(users))

    def test_finds_the_planted_items(self, fitted: Any) -> None:
        train, liked = planted_blocks()
        assert own_share(fitted, train, liked) >= self.floor

    def test_finds_the_items_of_users_who_are_known_by_their_histories_alone(self, spec: ModelSpec) -> None:
        everyone, liked = planted_blocks()
        known = self._fit(spec, everyone.take(everyone.user >= N_NEW_USERS))
        histories = dataclasses.replace(everyone.take(everyone.user < N_NEW_USERS), n_users=N_NEW_USERS)
        assert own_share(known.for_users(histories), histories, liked[:N_NEW_USERS]) >= self.floor

    def test_a_training_user_keeps_the_scores_when_folded_in(self, fitted: Any) -> None:
        train = planted_blocks()[0]
        users = np.arange(train.n_users, dtype=np.int32)
        folded_in = fitted.for_users(train).scores(users)
        np.testing.assert_allclose(folded_in, fitted.scores(users), rtol=0, atol=self.fold_in_atol)

    def test_a_folded_in_model_is_one_like_others(self, spec: ModelSpec, fitted: Any, tmp_path: Path) -> None:
        histories = _ratings([0, 0, 2], [1, 5, 9], [5.0] * 3, 3, N_BLOCKS * ITEMS_PER_BLOCK)  # of user 1, nothing
        model, users = fitted.for_users(histories), np.arange(3, dtype=np.int32)
        assert isinstance(model, Recommender)
        assert model.scores(users).shape == (3, histories.n_items)
        assert np.isfinite(model.scores(users)).all()
        with pytest.raises(ModelError, match="user 3"):
            model.scores(np.array([3], np.int32))
        model.save(tmp_path)
        np.testing.assert_array_equal(spec.load(tmp_path).scores(users), model.scores(users))

    def test_histories_of_another_catalogue_are_an_error(self, fitted: Any) -> None:
        with pytest.raises(ModelError, match="41 items, the model 40"):
            fitted.for_users(_ratings([0], [40], [5.0], 1, 41))


def own_share(model: Any, histories: Ratings, liked: np.ndarray) -> float:
    """The share of the users' own items among the first three that they have not seen."""
    scores = model.scores(np.arange(histories.n_users, dtype=np.int32)).copy()
    unseen = np.ones_like(liked)
    unseen[histories.user, histories.item] = False
    scores[~unseen] = -np.inf
    able = np.flatnonzero((liked & unseen).sum(axis=1) >= 3)
    best = np.argsort(-scores[able], axis=1)[:, :3]
    return float(np.mean(liked[able[:, None], best]))
