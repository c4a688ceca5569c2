"""The fitted model: evaluation mode, whole catalogue, boxes blanked, saved and loaded to the bit."""

import json
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

from recsys_pipeline.core.errors import ArtifactError, ModelError
from recsys_pipeline.core.folds.triplets import LooksTrain
from recsys_pipeline.core.learning.looks.embedding import EMBED_BATCH
from recsys_pipeline.core.learning.looks.pixels import Colours
from recsys_pipeline.core.learning.looks.trained_towers import TrainedTowers, carried_over
from recsys_pipeline.core.learning.model_files import ARRAYS, DOCUMENT
from recsys_pipeline.core.models import discover
from recsys_pipeline.core.models.stl import SPEC, StlConfig, StlModel, continue_fit, fit, untrained
from recsys_pipeline_tests.look_fixtures import look_data

CONFIG = StlConfig(embedding_size=4, widths=(4, 8), epochs=4, batch_size=16, learning_rate=0.01, colour=1.0)
DATA = look_data()
ROWS = np.arange(90, dtype=np.int32)
TRAIN = LooksTrain(DATA, ROWS, ROWS[:0])


@pytest.fixture(scope="module")
def model() -> StlModel:
    return fit(TRAIN, CONFIG, seed=0)


def test_is_discovered_as_a_model_of_looks() -> None:
    assert discover()["stl"] is SPEC
    assert (SPEC.data, SPEC.config) == ("looks", StlConfig)


def test_unseen_scenes_are_told_apart(model: StlModel) -> None:
    unseen = np.arange(90, 120)
    products = model.embed_products(DATA.product_images)
    scenes = model.embed_scenes(DATA.scene_images[DATA.scene[unseen]], DATA.box[unseen])
    suits = DATA.product[unseen][:, None] % 2 == np.arange(len(products)) % 2
    scores = scenes @ products.T
    right = [(s[w][:, None] > s[~w]).mean() for s, w in zip(scores, suits, strict=True)]
    assert np.mean(right) > 0.9


def test_the_product_cannot_be_seen_inside_its_scene(model: StlModel) -> None:
    changed = np.array(DATA.scene_images)
    changed[:, :8, :8] = 255 - changed[:, :8, :8]
    box = np.tile(np.array([0, 0, 0.5, 0.5], np.float32), (len(changed), 1))
    np.testing.assert_array_equal(model.embed_scenes(changed, box), model.embed_scenes(DATA.scene_images, box))
    assert (model.embed_scenes(changed) != model.embed_scenes(DATA.scene_images)).any()


def test_embeddings_do_not_depend_on_their_company(model: StlModel) -> None:
    images = np.concatenate([DATA.product_images] * 3)[: 2 * EMBED_BATCH + 5]
    together = model.embed_products(images)
    assert together.shape == (2 * EMBED_BATCH + 5, CONFIG.embedding_size)
    alone = np.concatenate([model.embed_products(images[row : row + 1]) for row in (0, EMBED_BATCH, len(images) - 1)])
    np.testing.assert_allclose(together[[0, EMBED_BATCH, -1]], alone, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(together, model.embed_products(images))
    assert model.embed_products(images[:0]).shape == (0, CONFIG.embedding_size)


def test_training_and_evaluation_mode_agree(model: StlModel) -> None:
    """With statistics that are not carried, evaluation lost .10 AUC in the book's reference code."""
    fresh = untrained(TRAIN, CONFIG, 0)
    forgotten = StlModel(CONFIG, replace(model.towers, batch_stats=fresh.towers.batch_stats))

    def accuracy(candidate: StlModel) -> float:
        products = candidate.embed_products(DATA.product_images)
        scores = candidate.embed_scenes(DATA.scene_images[DATA.scene[ROWS]], DATA.box[ROWS]) @ products.T
        suits = DATA.product[ROWS][:, None] % 2 == np.arange(len(products)) % 2
        return float(np.mean([(s[w][:, None] > s[~w]).mean() for s, w in zip(scores, suits, strict=True)]))

    assert accuracy(model) > 0.9
    assert accuracy(model) > accuracy(forgotten)


def test_saved_and_loaded_to_the_bit(model: StlModel, tmp_path: Path) -> None:
    model.save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {ARRAYS, DOCUMENT}
    loaded = StlModel.load(tmp_path)
    assert loaded.config == model.config
    np.testing.assert_array_equal(loaded.embed_products(DATA.product_images), model.embed_products(DATA.product_images))
    np.testing.assert_array_equal(
        loaded.embed_scenes(DATA.scene_images[:40], DATA.box[:40]),
        model.embed_scenes(DATA.scene_images[:40], DATA.box[:40]),
    )
    again = tmp_path / "again"
    loaded.save(again)
    for name in (ARRAYS, DOCUMENT):
        assert (again / name).read_bytes() == (tmp_path / name).read_bytes()


def test_continuing_keeps_colours_counts_epochs_and_learns(model: StlModel, tmp_path: Path) -> None:
    model.save(tmp_path)
    earlier, told = StlModel.load(tmp_path), []
    config = replace(CONFIG, warm_epochs=1, warm_learning_rate=0.001)
    continued = continue_fit(earlier, TRAIN, config, 0, lambda _, metrics: told.append(metrics["loss"]))
    assert (continued.towers.epochs, model.towers.epochs, len(told)) == (5, 4, 1)
    for one, other in zip(continued.towers.colours, model.towers.colours, strict=True):
        np.testing.assert_array_equal(one, other)
    first: list[float] = []
    fit(TRAIN, replace(CONFIG, epochs=1), 0, lambda _, metrics: first.append(metrics["loss"]))
    assert told[0] < first[0]
    again = continue_fit(earlier, TRAIN, config, 0)
    np.testing.assert_array_equal(again.embed_products(DATA.product_images[:3]),
                                  continued.embed_products(DATA.product_images[:3]))  # fmt: skip


def towers_of(categories: list[str], start: float) -> TrainedTowers:
    """As much of towers as carrying them over reads: one network weight and a row per category."""
    rows = start + np.arange(2.0 * len(categories), dtype=np.float32).reshape(-1, 2)
    params = {"product": {"kernel": np.full((3, 2), start)}, "gates": {"weight": rows}}
    colours = Colours(*[np.zeros(3, np.float32)] * len(Colours._fields))
    return TrainedTowers(params, {"mean": np.full(3, start)}, colours, 16, tuple(categories))


def test_categories_keep_their_rows_where_others_appear_before_them() -> None:
    earlier, fresh = towers_of(["chair", "lamp"], 100.0), towers_of(["bed", "chair", "lamp", "vase"], 0.0)
    params, stats = carried_over(earlier, fresh.params, fresh.batch_stats, fresh.categories, 16)
    np.testing.assert_array_equal(params["gates"]["weight"], [[0, 1], [100, 101], [102, 103], [6, 7]])
    np.testing.assert_array_equal(params["product"]["kernel"], np.full((3, 2), 100.0))
    assert stats is earlier.batch_stats
    np.testing.assert_array_equal(earlier.params["gates"]["weight"], [[100, 101], [102, 103]])


def test_towers_that_do_not_suit_are_refused() -> None:
    towers = towers_of(["chair"], 0.0)
    with pytest.raises(ModelError, match="images of 16 pixels, not 32"):
        carried_over(towers, towers.params, towers.batch_stats, ["chair"], 32)
    other = {**towers.params, "product": {"kernel": np.zeros((3, 5))}}
    with pytest.raises(ModelError, match="other networks"):
        carried_over(towers, other, towers.batch_stats, ["chair"], 16)


@pytest.fixture(scope="module", params=["gated", "local"])
def by_category(request: pytest.FixtureRequest) -> StlModel:
    """Untrained, with one tower; gates and categories are far from where they start."""
    config = replace(CONFIG, compatibility=request.param, shared=True)
    model = untrained(TRAIN, config, seed=0)
    part = "gates" if request.param == "gated" else "attention"
    changed = jax.tree.map(lambda array: array + np.linspace(0, 2, array.size).reshape(array.shape).astype("f4"),
                           model.towers.params[part])  # fmt: skip
    return StlModel(config, replace(model.towers, params=model.towers.params | {part: changed}))


def test_scores_by_category_are_dot_products_of_what_is_exported(by_category: StlModel, tmp_path: Path) -> None:
    model, images, boxes = by_category, DATA.scene_images[:5], DATA.box[:5]
    categories = [*(DATA.categories[row] for row in DATA.product_category[:-1]), "never heard of"]
    products = model.embed_products(DATA.product_images, categories)
    scores = model.score(images, boxes, products, categories)
    for category in set(categories):
        these = [row for row, name in enumerate(categories) if name == category]
        expected = model.embed_scenes(images, boxes, category) @ products[these].T
        np.testing.assert_allclose(scores[:, these], expected, rtol=1e-5, atol=1e-6)
    without = model.score(images, boxes, model.embed_products(DATA.product_images))
    assert np.abs(scores - without).max() > 0.01
    np.testing.assert_allclose(scores[:, -1], without[:, -1], rtol=1e-5, atol=1e-6)
    model.save(tmp_path)
    loaded = StlModel.load(tmp_path)
    np.testing.assert_array_equal(loaded.score(images, boxes, products, categories), scores)


def test_broken_files_and_wrong_images_say_so(model: StlModel, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=str(tmp_path)):
        StlModel.load(tmp_path)
    for document, reason in (
        ({"model": "stl", "config": {"unheard_of": 1}, "facts": {}}, "unheard_of"),
        ({"model": "als", "config": {}, "facts": {}}, "'als' model"),
        ({"config": {}}, "no readable model"),
        ([], "no readable model"),
    ):
        model.save(tmp_path)
        (tmp_path / DOCUMENT).write_text(json.dumps(document))
        with pytest.raises(ArtifactError, match=reason):
            StlModel.load(tmp_path)
    model.save(tmp_path)
    (tmp_path / ARRAYS).write_bytes(b"half")
    with pytest.raises(ArtifactError, match="holds no readable arrays"):
        StlModel.load(tmp_path)
    with pytest.raises(ModelError, match="resize them"):
        model.embed_products(np.zeros((2, 8, 8, 3), np.uint8))
