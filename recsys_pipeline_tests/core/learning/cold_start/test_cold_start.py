"""Mappers: what they learn from, what they fall back on, how one is chosen, and that they come back from the disk."""

import dataclasses
import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pyarrow as pa
import pytest
from flax import nnx

from recsys_pipeline.core.errors import ArtifactError, ModelError, SettingError
from recsys_pipeline.core.learning.cold_start.cold_start import (
    MAPPERS,
    ColdStart,
    ItemSpace,
    choose,
    fit_cold_start,
)
from recsys_pipeline.core.learning.cold_start.config import ColdStartConfig
from recsys_pipeline.core.learning.cold_start.features import Design, item_features, with_unseen
from recsys_pipeline.core.learning.cold_start.mapper import ItemMapper
from recsys_pipeline.core.learning.cold_start.network import Hidden, MapperNetwork, fit_network
from recsys_pipeline.core.learning.cold_start.score_space import ScoreSpace
from recsys_pipeline_tests.core.learning.cold_start.items import QUICK, make_items


@pytest.fixture(scope="module")
def fitted() -> ColdStart:
    return fit_cold_start(*make_items(), QUICK, seed=0)


def test_items_without_interactions_get_vectors_near_their_true_ones(fitted: ColdStart) -> None:
    features, space = make_items()
    found = fitted.mappers["ridge"].vectors(features.take(np.array([1])))
    true, mean = space.item_vectors[1], space.item_vectors.mean(axis=0)
    assert np.linalg.norm(found[0] - true) < 0.5 * np.linalg.norm(mean - true)
    assert found[0, 3] == 1.0, "a constant dimension stays what it is"


def test_every_mapper_is_an_item_mapper_and_gives_each_item_a_finite_vector(fitted: ColdStart) -> None:
    features, space = make_items()
    assert tuple(fitted.mappers) == MAPPERS
    for mapper in fitted.mappers.values():
        assert isinstance(mapper, ItemMapper)
        vectors = mapper.vectors(features)
        assert vectors.shape == space.item_vectors.shape
        assert vectors.dtype == np.float32
        assert np.isfinite(vectors).all()


def test_an_item_without_a_photo_gets_its_category_and_one_without_anything_the_mean(fitted: ColdStart) -> None:
    features, space = make_items()
    bare = item_features(["a", "b"], pa.table({"item_id": ["a"], "categories": [["rug"]]}))
    own = features.categories[:, features.names.index("rug")]
    blank = dataclasses.replace(
        features.take(np.array([0, 0])),
        visual=np.full((2, 5), np.nan, np.float32),
        categories=np.array([[False] * 3, [False] * 3]),
    )
    blank.categories[0, features.names.index("rug")] = bool(bare.categories[0, 0])
    vectors = fitted.mapper.vectors(blank)
    weights = np.where(own, np.sqrt(space.counts), 0)
    category = weights @ space.item_vectors / weights.sum()
    overall = np.sqrt(space.counts) @ space.item_vectors / np.sqrt(space.counts).sum()
    # The category's mean is drawn a little towards that of all.
    np.testing.assert_allclose(vectors[0], category, atol=0.1)
    np.testing.assert_allclose(vectors[1], overall, atol=1e-5)
    assert np.linalg.norm(vectors[0] - vectors[1]) > 0.1


def test_the_vector_of_an_item_without_interactions_teaches_nothing(fitted: ColdStart) -> None:
    features, space = make_items()
    vectors = space.item_vectors.copy()
    vectors[1] = 1e4
    other = fit_cold_start(features, dataclasses.replace(space, item_vectors=vectors), QUICK, seed=0)
    assert other.errors == fitted.errors
    for name in MAPPERS:
        np.testing.assert_array_equal(other.mappers[name].vectors(features), fitted.mappers[name].vectors(features))


def test_held_out_items_choose_the_plainest_of_the_best() -> None:
    straight = fit_cold_start(*make_items(), QUICK, seed=0)
    errors = {row.mapper: row.error for row in straight.errors}
    assert straight.chosen == "ridge"
    assert errors["ridge"] < 0.1 < errors["category_mean"]
    settings = dataclasses.replace(QUICK, hidden_size=32, epochs=80, learning_rate=0.03)
    curved = fit_cold_start(*make_items(n=300, is_curved=True), settings, seed=0)
    assert curved.chosen == "network", "ridge cannot see |x|"


def test_a_mapper_that_is_better_within_chance_is_not_chosen() -> None:
    plain, weights = np.array([1.0, 1.0, 1.0, 1.0]), np.full(4, 0.25)
    noisy, sure = np.array([0.0, 2.5, 0.0, 1.4]), np.array([0.9, 0.8, 0.9, 0.8])
    assert choose({"plain": plain, "rich": noisy}, weights)[1] == "plain"
    assert choose({"plain": plain, "rich": sure}, weights)[1] == "rich"


def test_each_part_is_held_out_of_its_own_mapping() -> None:
    """With vectors of pure noise, a mapper that had seen the item it is judged on would look better than the mean."""
    features, space = make_items(n=60)
    rng = np.random.default_rng(1)
    noise = dataclasses.replace(space, item_vectors=rng.standard_normal((60, 5)).astype(np.float32))
    config = dataclasses.replace(QUICK, regs=(1e-9,))
    errors = {row.mapper: row.error for row in fit_cold_start(features, noise, config, seed=0).errors}
    assert errors["ridge"] > 1.0


def test_what_is_saved_comes_back_to_the_bit(fitted: ColdStart, tmp_path: Path) -> None:
    features, _ = make_items()
    fitted.save(tmp_path)
    loaded = ColdStart.load(tmp_path)
    assert (loaded.chosen, loaded.errors) == (fitted.chosen, fitted.errors)
    for name, mapper in fitted.mappers.items():
        np.testing.assert_array_equal(loaded.mappers[name].vectors(features), mapper.vectors(features))
    (tmp_path / "ridge" / "arrays.safetensors").write_bytes(b"torn")
    with pytest.raises(ArtifactError, match="holds no readable arrays"):
        ColdStart.load(tmp_path)
    (tmp_path / "choice.json").write_text(json.dumps({"chosen": "ridge"}))
    with pytest.raises(ArtifactError, match=r"choice\.json is broken"):
        ColdStart.load(tmp_path)


def test_the_same_seed_gives_the_same_mappers_and_another_one_others(fitted: ColdStart) -> None:
    features, _ = make_items()
    again, other = (fit_cold_start(*make_items(), QUICK, seed=seed) for seed in (0, 1))
    for cold, is_same in ((again, True), (other, False)):
        vectors = cold.mappers["network"].vectors(features)
        assert np.array_equal(vectors, fitted.mappers["network"].vectors(features)) == is_same


def test_categories_feed_the_mappers_where_there_are_no_photos() -> None:
    features, space = make_items(noise=0.01)
    plain = dataclasses.replace(features, visual=np.empty((len(features), 0), np.float32))
    found = fit_cold_start(plain, space, QUICK, seed=0)
    assert found.mappers["ridge"].design.use_categories
    assert len(found.errors) == 3


def test_too_few_items_leave_category_means_and_no_choice(tmp_path: Path) -> None:
    features, space = make_items(n=15)
    found = fit_cold_start(features, space, QUICK, seed=0)
    assert (found.chosen, found.errors) == ("category_mean", ())
    assert "12 items with train interactions have a photo, and it takes 20" in found.note
    found.save(tmp_path)
    loaded = ColdStart.load(tmp_path)
    assert loaded.note == found.note
    assert np.isfinite(loaded.mapper.vectors(features)).all()


def test_a_catalogue_that_says_nothing_of_its_items_gives_all_new_ones_the_mean(tmp_path: Path) -> None:
    _, space = make_items()
    silent = item_features([f"p{row}" for row in range(120)], pa.table({"item_id": ["p1"], "categories": [None]}))
    found = fit_cold_start(silent, space, QUICK, seed=0)
    assert "0 items with train interactions have a category" in found.note
    found.save(tmp_path)
    vectors = ColdStart.load(tmp_path).mapper.vectors(silent.take(np.array([1, 5])))
    weights = np.sqrt(space.counts)
    np.testing.assert_allclose(vectors, np.tile(weights @ space.item_vectors / weights.sum(), (2, 1)), atol=1e-5)


def test_features_of_another_kind_are_refused(fitted: ColdStart) -> None:
    features, space = make_items()
    narrow = dataclasses.replace(features, visual=features.visual[:, :4])
    with pytest.raises(ModelError, match="4 visual dimensions"):
        fitted.mapper.vectors(narrow)
    with pytest.raises(ModelError, match="use one id map"):
        fit_cold_start(features.take(np.arange(5)), space, QUICK, seed=0)
    with pytest.raises(ModelError, match="no item or no user"):
        fit_cold_start(features, dataclasses.replace(space, counts=np.zeros(120, int)), QUICK, seed=0)


@pytest.mark.parametrize("regs", [(), (0.0,)])
def test_bad_penalties_are_refused(regs: tuple[float, ...]) -> None:
    with pytest.raises(SettingError, match="regs"):
        ColdStartConfig(regs=regs)


def test_distances_in_the_score_space_are_differences_in_score() -> None:
    _, space = make_items()
    weights = np.sqrt(space.counts)
    image = ScoreSpace.of(space.item_vectors, space.user_vectors, weights)
    a, b = (space.item_vectors[row].astype(np.float64) for row in (4, 5))
    difference = np.mean((space.user_vectors @ (a - b)) ** 2)
    mean = weights @ space.item_vectors / weights.sum()
    gaps = (space.item_vectors - mean) @ space.user_vectors.T
    variance = weights @ np.square(gaps).mean(axis=1) / weights.sum()
    points = image.encode(np.stack([a, b]))
    assert np.square(points[0] - points[1]).sum() == pytest.approx(difference / variance, rel=1e-4)
    np.testing.assert_allclose(image.decode(image.encode(space.item_vectors)), space.item_vectors, atol=1e-4)


def test_the_network_predicts_in_numpy_what_it_learned_in_jax() -> None:
    rng = np.random.default_rng(0)
    network = MapperNetwork(5, 8, 3, nnx.Rngs(0))
    layers = nnx.to_pure_dict(nnx.state(network, nnx.Param))
    hidden = Hidden(*(np.asarray(layers[at][name]) for at in ("inner", "outer") for name in ("kernel", "bias")))
    columns = rng.standard_normal((7, 5))
    np.testing.assert_allclose(hidden.predict(columns), network(jnp.asarray(columns, jnp.float32)), atol=1e-5)


def test_the_network_keeps_the_epoch_that_is_best_on_held_out_items() -> None:
    rng = np.random.default_rng(0)
    columns, noise, weights = rng.standard_normal((64, 5)), rng.standard_normal((64, 4)), np.ones(64)
    held_out = np.arange(64) % 4 == 0
    settings = dataclasses.replace(QUICK, epochs=200, patience=5, learning_rate=0.05).network()
    found = fit_network(columns, noise, weights, held_out, settings, seed=0)
    error = np.square(found.hidden.predict(columns[held_out]) - noise[held_out]).sum(axis=1).mean()
    assert error == pytest.approx(found.error, rel=1e-4)
    assert found.epochs < 50, "noise cannot be learned: it stops early"
    with pytest.raises(ModelError, match="did not stay finite"):
        fit_network(columns, noise * np.inf, weights, held_out, settings, seed=0)
    with pytest.raises(ModelError, match="10 or more"):
        fit_network(columns, noise, weights, np.zeros(64, bool), settings, seed=0)


def test_features_are_found_by_id_in_whatever_order() -> None:
    items = pa.table({"item_id": ["c", "a"], "categories": [["rug", "lamp"], None]})
    found = item_features(["a", "b", "c"], items, ["c", "z"], np.array([[1, 2], [3, 4]], np.float32))
    assert found.names == ("lamp", "rug")
    assert found.categories.tolist() == [[False, False], [False, False], [True, True]]
    assert found.has_image.tolist() == [False, False, True]
    assert found.visual[2].tolist() == [1, 2]
    assert with_unseen(["b", "a"], items) == ["b", "a", "c"]


def test_inputs_without_a_photo_say_nothing() -> None:
    features, space = make_items()
    design = Design.of(features, use_categories=False)
    assert not design.columns(features)[~features.has_image].any()
    assert design.usable(features).sum() == features.has_image.sum()
    assert ItemSpace(space.item_vectors, space.user_vectors, space.counts).counts[1] == 0
