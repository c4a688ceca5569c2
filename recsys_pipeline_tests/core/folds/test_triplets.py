"""Parts of scenes and triplets: nothing lost, nothing leaked, negatives that are negative."""

import re
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_pipeline.core.dataset.looks import LookData
from recsys_pipeline.core.errors import ArtifactError, DataError, SettingError
from recsys_pipeline.core.folds.negatives import Negatives, draw_negatives
from recsys_pipeline.core.folds.triplets import (
    LookFolds,
    LooksTrain,
    TripletConfig,
    draw_triplets,
    split_looks,
    split_scenes,
)
from recsys_pipeline_tests.look_fixtures import look_data

NO_ROWS = np.zeros(0, np.int32)


World = tuple[list[int], list[set[int]]]
"""The category of each product, and the products of each scene."""


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Looks of any shape in which no scene holds the whole catalogue."""
    n_products = draw(st.integers(2, 9))
    category = draw(st.lists(st.integers(0, 2), min_size=n_products, max_size=n_products))
    held = st.sets(st.integers(0, n_products - 1), min_size=1, max_size=n_products - 1)
    return category, draw(st.lists(held, min_size=3, max_size=8))


def built(world: World) -> LookData:
    category, held = world
    pairs = np.array(
        [(scene, product) for scene, products in enumerate(held) for product in sorted(products)], np.int32
    )
    base = look_data(n_scenes=len(held), n_products=12, per_scene=1, size=4)
    return replace(
        base,
        scene=pairs[:, 0],
        product=pairs[:, 1],
        box=np.full((len(pairs), 4), np.nan, np.float32),
        product_ids=base.product_ids[: len(category)],
        product_category=np.array(category, np.int32),
        product_images=base.product_images[: len(category)],
    )


@given(world=worlds(), seed=st.integers(0, 99))
def test_each_look_is_in_one_part_and_no_scene_in_two(world: World, seed: int) -> None:
    data = built(world)
    folds = split_looks(data, TripletConfig(), seed)
    parts = (folds.train, folds.validation, folds.test)
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(data)))
    scenes = [set(data.scene[rows].tolist()) for rows in parts]
    assert all(scenes)
    assert sum(map(len, scenes)) == len(set.union(*scenes))


@given(world=worlds(), seed=st.integers(0, 99), epoch=st.integers(0, 3))
def test_each_train_pair_comes_once_per_epoch(world: World, seed: int, epoch: int) -> None:
    data = built(world)
    train = LooksTrain(data, split_looks(data, TripletConfig(), seed).train, NO_ROWS)
    triplets = draw_triplets(train, seed, epoch)
    assert sorted(triplets.look.tolist()) == train.rows.tolist()
    np.testing.assert_array_equal(triplets.scene, data.scene[triplets.look])
    np.testing.assert_array_equal(triplets.positive, data.product[triplets.look])


@given(world=worlds(), seed=st.integers(0, 99))
def test_negatives_are_never_positives_and_share_the_category_if_they_can(world: World, seed: int) -> None:
    data = built(world)
    rows = np.arange(len(data), dtype=np.int32)
    negatives = draw_negatives(data, rows, 4, np.random.default_rng(seed))
    for row in rows:
        own = set(data.product[data.scene == data.scene[row]].tolist())
        kin = set(np.flatnonzero(data.product_category == data.product_category[data.product[row]]).tolist()) - own
        drawn = set(negatives[row].tolist())
        assert not drawn & own
        assert drawn <= (kin or set(range(len(data.product_ids))))


@given(
    world=worlds(),
    seed=st.integers(0, 99),
    epoch=st.integers(0, 3),
    strategy=st.sampled_from(get_args(Negatives)),
    share=st.floats(0, 0.5),
)
def test_training_never_shows_a_held_out_product_nor_a_positive_as_a_negative(
    world: World, seed: int, epoch: int, strategy: Negatives, share: float
) -> None:
    data = built(world)
    try:
        folds = split_looks(data, TripletConfig(unseen_products=share), seed)
        triplets = draw_triplets(folds.for_training(data), seed, epoch, strategy)
    except DataError as error:
        assert re.search("no pairs are left|holds every product", str(error))  # noqa: PT017 - small worlds may starve
        return
    shown = {*triplets.positive.tolist(), *triplets.negative.tolist()}
    assert not shown & set(folds.held_out.tolist())
    assert sorted(triplets.look.tolist()) == folds.train.tolist()
    pairs = set(zip(data.scene.tolist(), data.product.tolist(), strict=True))
    assert not pairs & set(zip(triplets.scene.tolist(), triplets.negative.tolist(), strict=True))


@pytest.mark.parametrize(("seed", "validation_share"), [(0, 0.0), (1, 0.2), (2, 0.2)])
def test_products_are_unseen_in_one_part_only(seed: int, validation_share: float) -> None:
    data = look_data(n_scenes=60)
    folds = split_looks(data, TripletConfig(validation_share=validation_share, unseen_products=0.4), seed)
    train, validation, test = (set(data.product[rows]) for rows in (folds.train, folds.validation, folds.test))
    held_out = set(folds.held_out)
    assert not train & held_out
    assert not validation & test & held_out
    assert not set(folds.validation_negatives.ravel()) & test & held_out
    unseen = folds.is_unseen(data, folds.test)
    assert set(data.product[folds.test][unseen]) == test - train >= test & held_out
    assert test & held_out
    assert test & train


def test_a_product_keeps_its_part_while_others_arrive() -> None:
    config = TripletConfig(unseen_products=0.3)
    small, large = look_data(n_products=100), look_data(n_products=200)
    early, late = (split_looks(data, config, 5).held_out for data in (small, large))
    np.testing.assert_array_equal(early, late[late < 100])
    assert 0.2 < len(late) / 200 < 0.4


def test_uniform_negatives_come_from_every_category() -> None:
    data = look_data(n_scenes=4, n_products=16)
    drawn = draw_negatives(data, np.zeros(1, np.int32), 500, np.random.default_rng(0), "uniform")
    own = set(data.product[data.scene == data.scene[0]].tolist())
    assert set(drawn[0].tolist()) == set(range(16)) - own


def test_popular_negatives_are_drawn_by_the_power_of_their_counts() -> None:
    data = look_data(n_scenes=4, n_products=12, n_categories=2)
    kin = np.flatnonzero(data.product_category == data.product_category[data.product[0]])
    free = np.setdiff1d(kin, data.product[data.scene == data.scene[0]])
    counts = np.zeros(12, np.int64)
    counts[kin], counts[free[0]] = 1, 16
    drawn = draw_negatives(data, np.zeros(1, np.int32), 20_000, np.random.default_rng(0), "popularity", counts=counts)
    expected = np.where(np.isin(np.arange(12), free), counts**0.75, 0)
    np.testing.assert_allclose(np.bincount(drawn[0], minlength=12) / 20_000, expected / expected.sum(), atol=0.012)


def test_where_no_product_of_the_category_was_popular_all_are_as_likely() -> None:
    data = look_data(n_scenes=4, n_products=16, n_categories=1)
    rows = np.zeros(1, np.int32)
    by_popularity, plain = (
        draw_negatives(data, rows, 50, np.random.default_rng(0), strategy, counts=np.zeros(16, np.int64))
        for strategy in ("popularity", "same_category")
    )
    np.testing.assert_array_equal(by_popularity, plain)


def test_every_candidate_is_equally_likely() -> None:
    data = look_data(n_scenes=4, n_products=16, n_categories=1)
    rows = np.zeros(1, np.int32)
    drawn = draw_negatives(data, rows, 26_000, np.random.default_rng(0))[0]
    counts = np.bincount(drawn, minlength=16)
    own = data.product[data.scene == data.scene[0]]
    assert (counts[own] == 0).all()
    others = np.delete(counts, own)
    assert np.abs(others - 2000).max() < 200  # 4.6 standard deviations of a binomial(26000, 1/13)


def test_epochs_differ_and_repeat_exactly() -> None:
    train = LooksTrain(look_data(), np.arange(60, dtype=np.int32), NO_ROWS)
    first, again, other = (draw_triplets(train, 3, epoch) for epoch in (0, 0, 1))
    np.testing.assert_array_equal(first.negative, again.negative)
    np.testing.assert_array_equal(first.look, again.look)
    assert (first.look != other.look).any()
    by_look = first.negative[np.argsort(first.look)], other.negative[np.argsort(other.look)]
    assert (by_look[0] != by_look[1]).mean() > 0.5


def test_a_scene_keeps_its_part_while_others_arrive() -> None:
    config = TripletConfig()
    ids = [f"scene-{number}" for number in range(400)]
    early, late = split_scenes(ids[:300], config, 7), split_scenes(ids, config, 7)
    np.testing.assert_array_equal(early, late[:300])
    assert np.abs(np.bincount(late) / 400 - [0.7, 0.1, 0.2]).max() < 0.06


def test_evaluation_negatives_are_fixed_by_the_seed(tmp_path: Path) -> None:
    data, config = look_data(), TripletConfig(n_negatives=5, unseen_products=0.1)
    folds, again, other = (split_looks(data, config, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(folds.test_negatives, again.test_negatives)
    assert folds.test.tolist() != other.test.tolist()
    folds.save(tmp_path)
    loaded = LookFolds.load(tmp_path)
    for name in ("train", "validation", "test", "validation_negatives", "test_negatives", "held_out"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(folds, name), strict=True)


def test_no_validation_share_gives_no_validation(tmp_path: Path) -> None:
    folds = split_looks(look_data(), TripletConfig(validation_share=0.0), 0)
    folds.save(tmp_path)
    assert len(LookFolds.load(tmp_path).validation) == 0


def test_impossible_requests_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="leave some to train on"):
        TripletConfig(validation_share=0.5, test_share=0.5)
    with pytest.raises(DataError, match="2 scenes are too few"):
        split_scenes(["a", "b"], TripletConfig(), 0)
    everything = built(([0, 1, 1], [{0, 1, 2}, {0, 1, 2}]))
    with pytest.raises(DataError, match=r"no pairs are left for train: lower unseen_products = 0\.999"):
        split_looks(look_data(), TripletConfig(unseen_products=0.999), 1)
    with pytest.raises(DataError, match="holds every product"):
        draw_negatives(everything, np.arange(6, dtype=np.int32), 1, np.random.default_rng(0))
    with pytest.raises(ArtifactError, match="write them again"):
        LookFolds.load(tmp_path)
