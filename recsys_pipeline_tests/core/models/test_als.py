"""The registered factorisation model; its solvers are tested in core/learning."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from recsys_pipeline.core.errors import ArtifactError, ModelError, SettingError
from recsys_pipeline.core.learning.factorization import reference
from recsys_pipeline.core.learning.factorization.start import Start
from recsys_pipeline.core.models import als
from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline_tests.core.learning.factorization.test_objective import some_ratings
from recsys_pipeline_tests.model_battery import ModelBattery, own_share, planted_blocks

RANKING = als.AlsConfig(embedding_size=7, epochs=5, half_life_days=0.0)
VALUES = als.AlsConfig(
    embedding_size=7, gravity=0.0, target="value", bias_reg=1.0, use_user_bias=True, use_global_bias=True, epochs=5
)
SEVERAL = dataclasses.replace(RANKING, inverse_frequency=0.5, solver="subspace")
RECENT = dataclasses.replace(RANKING, half_life_days=2e-9)  # the planted rows are 1 µs = 1.2e-11 days apart


class TestAls(ModelBattery):
    model = "als"
    config = {"embedding_size": 7, "epochs": 5}  # noqa: RUF012 - a class constant, as in the base
    floor = 0.9
    fold_in_atol = 1e-4


class TestAlsForValues(ModelBattery):
    model = "als"
    config = {**dataclasses.asdict(VALUES)}  # noqa: RUF012 - a class constant, as in the base
    floor = 0.4  # 16 values per user, and only those that are observed
    fold_in_atol = 1e-3


@pytest.mark.parametrize("config", [RANKING, VALUES])
def test_scores_are_the_dot_products_of_the_vectors(config: als.AlsConfig) -> None:
    train = planted_blocks()[0]
    model = als.fit(train, config, seed=0)
    everyone = np.arange(train.n_users, dtype=np.int32)
    np.testing.assert_array_equal(model.scores(everyone), model.user_vectors() @ model.item_vectors().T)
    assert model.item_vectors().shape == (train.n_items, config.embedding_size + 2)


@pytest.mark.parametrize("config", [RANKING, VALUES, RECENT, SEVERAL])
def test_fold_in_gives_trained_users_their_vectors(config: als.AlsConfig, tmp_path: Path) -> None:
    train = planted_blocks()[0]
    model = als.fit(train, config, seed=0)
    model.save(tmp_path)
    np.testing.assert_allclose(als.AlsModel.load(tmp_path).fold_in(train), model.user_vectors(), atol=1e-5)


def test_fold_in_of_new_users_ranks_their_block_and_ignores_unseen_items() -> None:
    train, liked = planted_blocks()
    unseen = train.item[train.user == 0][0]  # user 0 had it, so that ignoring it is more than having none of it
    known = train.take(train.item != unseen)
    model = als.fit(known, RANKING, seed=0)
    histories = dataclasses.replace(train.take(train.user < 3), n_users=4)
    vectors = model.fold_in(histories)
    best = (vectors @ model.item_vectors().T).argmax(axis=1)
    assert liked[[0, 1, 2], best[:3]].all()
    np.testing.assert_array_equal(vectors[3], [0] * 7 + [0, 1])
    without = dataclasses.replace(known.take(known.user < 3), n_users=4)
    np.testing.assert_allclose(vectors, model.fold_in(without), atol=1e-6)


def test_ages_count_back_from_the_last_training_event_and_not_from_a_clock() -> None:
    train = planted_blocks()[0]
    later = dataclasses.replace(train, timestamp_us=train.timestamp_us + 400 * 86_400_000_000)
    one, other = (als.fit(rows, RECENT, seed=0) for rows in (train, later))
    np.testing.assert_array_equal(one.user_vectors(), other.user_vectors())


@pytest.mark.parametrize("bad", [{"reg": -1.0}, {"embedding_size": 0}, {"frequency_power": 3.0}, {"gravity": np.inf}])
def test_a_config_checks_itself(bad: dict) -> None:
    with pytest.raises(SettingError, match=next(iter(bad))):
        als.AlsConfig(**bad)


def test_fold_in_refuses_another_id_space() -> None:
    train = planted_blocks()[0]
    model = als.fit(train, RANKING, seed=0)
    with pytest.raises(ModelError, match="41 items"):
        model.fold_in(dataclasses.replace(train, n_items=41))


def test_values_are_fitted_with_gravity_or_without() -> None:
    train = planted_blocks()[0]
    model = als.fit(train, VALUES, seed=0)
    assert model.predicts_values
    assert not als.fit(train, RANKING, seed=0).predicts_values
    assert als.fit(train, dataclasses.replace(VALUES, gravity=0.5), seed=0).predicts_values
    error = model.scores(train.user)[np.arange(len(train)), train.item] - train.value
    assert np.sqrt((error**2).mean()) < 0.7 < train.value.std()


def test_half_life_favours_recent_items() -> None:
    train = planted_blocks()[0]
    late = train.item >= train.n_items // 2
    train = dataclasses.replace(train, timestamp_us=np.where(late, 10, 0) * np.int64(86_400e6))

    def mean_late_score(half_life_days: float) -> float:
        model = als.fit(train, dataclasses.replace(RANKING, half_life_days=half_life_days), seed=0)
        scores = model.scores(np.arange(train.n_users, dtype=np.int32))
        half = train.n_items // 2
        return float(scores[:, half:].mean() - scores[:, :half].mean())

    assert mean_late_score(5.0) > mean_late_score(0.0) + 0.02


def test_penalties_too_small_for_float32_are_an_error() -> None:
    with pytest.raises(ModelError, match="reg 1e-30"):
        als.fit(planted_blocks()[0], dataclasses.replace(VALUES, reg=1e-30, bias_reg=1e-30), seed=0)


def test_constant_target_without_gravity_is_refused() -> None:
    with pytest.raises(SettingError, match="gravity"):
        als.AlsConfig(gravity=0.0)


@pytest.mark.parametrize("solver", ["als", "cg", "subspace", "optax"])
def test_progress_hears_each_epoch(solver: str) -> None:
    heard: list[tuple[str, float]] = []
    # The same shapes as in the solvers' tests, where L-BFGS takes seconds to compile.
    config = dataclasses.replace(RANKING, solver=solver, epochs=3, embedding_size=11)
    als.fit(some_ratings(), config, 0, lambda step, metrics: heard.append((step, metrics["objective"])))
    assert [step for step, _ in heard] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    assert heard[0][1] > heard[2][1]


@pytest.mark.parametrize("solver", ["als", "cg", "subspace"])
@pytest.mark.parametrize("config", [RANKING, VALUES])
def test_warm_start_needs_fewer_epochs(config: als.AlsConfig, solver: str) -> None:
    # Yesterday's model knew neither the last users nor the last items, numbered otherwise, nor a tenth of the ratings.
    train = planted_blocks()[0]
    config = dataclasses.replace(config, solver=solver, embedding_size=35)
    order = np.random.default_rng(0).permutation(38).astype(np.int32)
    known = (train.user < 55) & (train.item < 38) & (np.arange(len(train)) % 10 != 0)
    number_of = np.argsort(order).astype(np.int32)
    some = train.take(known)
    earlier = dataclasses.replace(some, item=number_of[some.item], n_users=55, n_items=38)
    model = als.fit(earlier, dataclasses.replace(config, epochs=12), seed=0)
    users = np.where(np.arange(train.n_users) < 55, np.arange(train.n_users), -1).astype(np.int32)
    items = np.append(number_of, [-1, -1]).astype(np.int32)
    warm = objectives(train, dataclasses.replace(config, warm_epochs=2), model.as_start(users, items))
    cold = objectives(train, dataclasses.replace(config, epochs=6), None)
    assert warm[1] < cold[3]


def days_of(train: Ratings) -> list[Ratings]:
    """The planted ratings in four days: later users and items are new on later days, and the ids stay."""
    day = np.maximum(np.maximum(train.user - 45, 0) // 5, np.maximum(train.item - 34, 0) // 2)
    first = [train.take((day <= last) & (np.arange(len(train)) % 8 <= last + 4)) for last in range(4)]
    return [
        dataclasses.replace(known, n_users=int(known.user.max()) + 1, n_items=int(known.item.max()) + 1)
        for known in first
    ]


@pytest.mark.parametrize("config", [RANKING, VALUES])
def test_continuing_takes_the_steps_of_the_twin(config: als.AlsConfig) -> None:
    yesterday, train = days_of(planted_blocks()[0])[1:3]
    config = dataclasses.replace(config, solver="als", warm_epochs=2)
    earlier = als.fit(yesterday, config, seed=0)
    continued = als.continue_fit(earlier, train, config, seed=0)

    def table(rows: np.ndarray, n: int) -> np.ndarray:
        return np.concatenate([rows, np.zeros((n - len(rows), rows.shape[1]), np.float32)]).astype(np.float64)

    mu = earlier.trained.global_bias
    user, item = table(earlier.user_vectors(), train.n_users), table(earlier.item_vectors(), train.n_items)
    item[: yesterday.n_items, -1] -= mu
    twin = reference.Reference(user[:, :-2], item[:, :-2], user[:, -2].copy(), item[:, -1].copy(), mu)
    ratings = dataclasses.replace(train, value=np.ones_like(train.value)) if config.target == "one" else train
    weight = np.ones(len(train))
    reference.solve_users(twin, ratings, config.objective(), weight)
    for _ in range(config.warm_epochs):
        reference.epoch(twin, ratings, config.objective(), weight)
    everyone = np.arange(train.n_users, dtype=np.int32)
    np.testing.assert_allclose(continued.scores(everyone), twin.scores(), atol=2e-4)


@pytest.mark.parametrize("config", [RANKING, VALUES, RECENT, SEVERAL])
def test_a_continued_model_knows_what_is_new_and_folds_in_as_it_learned(config: als.AlsConfig) -> None:
    days = days_of(planted_blocks()[0])
    model = als.fit(days[0], config, seed=0)
    for day in days[1:]:
        model = als.continue_fit(model, day, config, seed=0)
    train, liked = days[-1], planted_blocks()[1]
    assert train.n_users > days[0].n_users
    assert train.n_items > days[0].n_items
    assert model.config == config
    np.testing.assert_allclose(model.fold_in(train), model.user_vectors(), atol=1e-4)
    if config.gravity > 0:
        is_new = np.arange(train.n_users) >= days[0].n_users
        assert own_share(model, train, liked) > 0.85
        assert own_share(model, train, liked & is_new[:, None]) > 0.85


def test_what_is_no_longer_in_train_is_forgotten() -> None:
    train = planted_blocks()[0]
    model = als.fit(train, RANKING, seed=0)
    without = train.take((train.user != 3) & (train.item != 5))
    continued = als.continue_fit(model, without, RANKING, seed=0)
    np.testing.assert_array_equal(continued.user_vectors()[3], [0] * 7 + [0, 1])
    np.testing.assert_array_equal(continued.item_vectors()[5], [0] * 7 + [1, 0])
    anew = als.fit(without, dataclasses.replace(RANKING, epochs=40), seed=0)
    long = als.continue_fit(model, without, dataclasses.replace(RANKING, warm_epochs=40), seed=0)
    everyone = np.arange(train.n_users, dtype=np.int32)
    np.testing.assert_allclose(long.scores(everyone), anew.scores(everyone), atol=0.02)


def test_continuing_by_optax_starts_at_the_earlier_model() -> None:
    # The same shapes as in the solvers' tests, where L-BFGS takes seconds to compile.
    config = dataclasses.replace(RANKING, solver="optax", epochs=3, warm_epochs=1, embedding_size=11)
    train = some_ratings()
    full: list[float] = []
    model = als.fit(train, config, 0, lambda _, metrics: full.append(metrics["objective"]))
    more: list[float] = []
    als.continue_fit(model, train, config, 0, lambda _, metrics: more.append(metrics["objective"]))
    assert len(more) == 1
    assert more[0] < full[-1]


def test_continuing_on_a_smaller_id_space_is_an_error() -> None:
    train = planted_blocks()[0]
    model = als.fit(train, RANKING, seed=0)
    fewer = dataclasses.replace(train.take(train.item < 30), n_items=30)
    with pytest.raises(ModelError, match="40 rows where there are 30 now"):
        als.continue_fit(model, fewer, RANKING, seed=0)


def objectives(train: Ratings, config: als.AlsConfig, start: Start | None) -> list[float]:
    heard: list[float] = []
    als.fit(train, config, 1, lambda _, metrics: heard.append(metrics["objective"]), start)
    return heard


def test_a_start_of_another_size_or_id_space_is_an_error() -> None:
    train = planted_blocks()[0]
    model = als.fit(train, RANKING, seed=0)
    users, items = (np.arange(n, dtype=np.int32) for n in (train.n_users, train.n_items))
    with pytest.raises(ModelError, match="embedding size 7, the config 9"):
        als.fit(train, dataclasses.replace(RANKING, embedding_size=9), 0, start=model.as_start(users, items))
    with pytest.raises(ModelError, match=r"Start\.items spans 1\.\.40, outside -1\.\.39"):
        model.as_start(users, items + 1)
    smaller = dataclasses.replace(train.take(train.user < 20), n_users=20)
    with pytest.raises(ModelError, match="maps 60 users"):
        als.fit(smaller, RANKING, 0, start=model.as_start(users, items))


@pytest.mark.parametrize("config", [RANKING, VALUES, RECENT])
def test_new_items_get_the_vectors_of_a_half_sweep_over_items(config: als.AlsConfig) -> None:
    train = planted_blocks()[0]
    model = als.fit(train, config, seed=0)
    found = model.fold_in_items(train)
    ratings = train if config.target == "value" else dataclasses.replace(train, value=np.ones_like(train.value))
    user, item, bias = model.user_vectors(), model.item_vectors(), model.trained.global_bias
    twin = reference.Reference(user[:, :-2], item[:, :-2].copy(), user[:, -2], item[:, -1] - bias, bias)
    objective, weight = config.objective(), model.trained.weight(train, config)
    reference.solve_users(*reference.transposed(twin, ratings), objective.transposed(), weight)
    np.testing.assert_allclose(found[:, :-2], twin.item, atol=1e-4)
    np.testing.assert_allclose(found[:, -1], twin.item_bias + bias, atol=1e-4)


def test_an_item_that_no_known_user_had_scores_by_the_global_bias_alone() -> None:
    train = planted_blocks()[0]
    model = als.fit(train, VALUES, seed=0)
    histories = dataclasses.replace(train.take(train.item < 3), n_items=4)
    np.testing.assert_allclose(model.fold_in_items(histories)[3], [0] * 7 + [1, model.trained.global_bias], rtol=1e-6)
    with pytest.raises(ModelError, match="61 users, the model 60"):
        model.fold_in_items(dataclasses.replace(train, n_users=61))


def test_inverse_frequency_weighs_each_item_the_same() -> None:
    train = planted_blocks()[0]
    config = dataclasses.replace(RANKING, inverse_frequency=1.0)
    trained = als.fit(train, config, seed=0).trained
    seen = trained.item_count > 0
    np.testing.assert_allclose(trained.item_count[seen], len(train) / seen.sum(), rtol=1e-4)
    assert als.fit(train, RANKING, seed=0).trained.item_count[seen].std() > 1


def test_a_model_of_another_version_is_an_error(tmp_path: Path) -> None:
    als.fit(planted_blocks()[0], RANKING, seed=0).save(tmp_path)
    document = json.loads((tmp_path / "model.json").read_text())
    del document["facts"]["global_bias"]
    (tmp_path / "model.json").write_text(json.dumps(document))
    with pytest.raises(ArtifactError, match="another version"):
        als.AlsModel.load(tmp_path)
