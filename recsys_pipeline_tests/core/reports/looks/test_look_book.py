"""The look book: reasons that hold, and a page that is whole in one file."""

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from recsys_pipeline.core.dataset.looks import LookData
from recsys_pipeline.core.dataset.shelf import Shelf
from recsys_pipeline.core.folds.triplets import TripletConfig, split_looks
from recsys_pipeline.core.reports.looks.look_book import LookBook, make_look_book
from recsys_pipeline.core.reports.looks.look_book_page import heat_uri, render_look_book
from recsys_pipeline.core.reports.looks.reasons import occluded, occlusion_map, precedents, unit_length
from recsys_pipeline_tests.look_fixtures import NO_ITEMS, look_data

DATA = look_data(n_scenes=20)
FOLDS = split_looks(DATA, TripletConfig(test_share=0.4), 0)
EVIL = '<script>alert("x")</script>'


class Brightness:
    """As much of a `TowerScorer` as the book needs: bright rooms suit bright products."""

    def __init__(self, data: LookData) -> None:
        self.data = data
        self.products = self._vectors(data.product_images)

    def _vectors(self, images: np.ndarray) -> np.ndarray:
        bright = images.mean(axis=(1, 2, 3)) / 128 - 1
        return np.stack([bright, np.ones(len(images))], axis=1).astype(np.float32)

    def scenes(self, rows: np.ndarray) -> np.ndarray:
        return self._vectors(self.data.scene_images[self.data.scene[rows]])

    def score_images(self, images: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        assert len(boxes) == len(images)
        return self._vectors(images) @ self.products.T

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        return self.scenes(rows) @ self.products.T


def best_of_each(scores: np.ndarray, present: Sequence[int]) -> np.ndarray:
    """The best product of every category that the scene lacks."""
    order = np.argsort(-scores, kind="stable")
    free = [row for row in order if DATA.product_category[row] not in present]
    _, first = np.unique(DATA.product_category[free], return_index=True)
    return np.array(free, np.int32)[np.sort(first)]


@pytest.fixture(scope="module")
def book() -> LookBook:
    return make_look_book(Brightness(DATA), DATA, FOLDS.train, FOLDS.test, best_of_each, 3, 0)


def shelf(data: LookData = DATA) -> Shelf:
    n = len(data.product_ids)
    return Shelf([EVIL, *data.product_ids[1:]], np.arange(n, dtype=np.float64), np.arange(n) % 5 > 0)


def test_the_book_shows_test_scenes_and_what_they_lack(book: LookBook) -> None:
    assert len(book.scenes) == 3
    assert len({int(DATA.scene[scene.look]) for scene in book.scenes}) == 3
    for scene in book.scenes:
        assert scene.look in FOLDS.test
        present = {int(DATA.product_category[DATA.product[row]]) for row in scene.others}
        assert (DATA.scene[list(scene.others)] == DATA.scene[scene.look]).all()
        for item in scene.items:
            assert DATA.product_category[item.product] not in present
            assert item.place == 1
            assert item.stood_there == (item.product == DATA.product[scene.look])
            likes = [like.look for like in item.precedents]
            assert (DATA.product_category[DATA.product[likes]] == DATA.product_category[item.product]).all()
            assert len({int(DATA.scene[look]) for look in likes}) == len(likes) == 3
            assert all(like.look in FOLDS.train for like in item.precedents)
            assert item.product in book.neighbours


def test_an_occluded_copy_differs_in_its_patch_alone() -> None:
    image = np.random.default_rng(0).integers(0, 256, (10, 10, 3)).astype(np.uint8)
    copies = occluded(image, 3)
    assert copies.shape == (9, 10, 10, 3)
    touched = (copies != image).any(axis=-1)
    assert (touched.sum(axis=0) <= 1).all(), "patches overlap"
    assert touched[4, 3:7, 3:7].all()
    assert not touched[4, :3].any()
    assert (copies[0, :3, :3] == image.mean(axis=(0, 1)).round()).all()


def test_the_heat_is_where_the_score_comes_from() -> None:
    """A score that reads the upper right quarter alone falls when that is covered, and nowhere else."""
    image = np.zeros((16, 16, 3), np.uint8)
    image[:8, 8:] = 255

    def corner(images: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        assert len(boxes) == len(images)
        return images[:, :8, 8:].mean(axis=(1, 2, 3))[:, None].astype(np.float32) * np.array([[1, 0, -1]], np.float32)

    box = np.full(4, np.nan, np.float32)
    products = np.array([0, 2], np.int32)
    heat = occlusion_map(corner, image, box, products, np.array([255, -255], np.float32), patches=4)
    assert (heat[0, :2, 2:] > 40).all()
    np.testing.assert_allclose(heat[1], -heat[0])
    assert np.abs(heat[0, 2:]).max() == np.abs(heat[0, :, :2]).max() == 0


def test_precedents_are_the_most_similar_pairs_of_the_category() -> None:
    vectors = unit_length(np.random.default_rng(1).normal(size=(len(DATA.product_ids), 4)).astype(np.float32))
    similarity = np.random.default_rng(2).uniform(-1, 1, len(FOLDS.train)).astype(np.float32)
    found = precedents(DATA, FOLDS.train, similarity, vectors, product=5, n=2)
    worth = {
        int(row): float(similarity[at] + vectors[DATA.product[row]] @ vectors[5])
        for at, row in enumerate(FOLDS.train)
        if DATA.product_category[DATA.product[row]] == DATA.product_category[5]
    }
    first = max(worth, key=lambda row: worth[row])
    rest = {row: value for row, value in worth.items() if DATA.scene[row] != DATA.scene[first]}
    assert [like.look for like in found] == [first, max(rest, key=lambda row: rest[row])]
    assert found[0].scene_similarity + found[0].product_similarity == pytest.approx(worth[first], abs=1e-6)


def test_the_page_is_one_file_with_every_picture_once(book: LookBook) -> None:
    page = render_look_book(book, DATA, shelf(), "shop", "2026-01-05", "abc")
    assert render_look_book(book, DATA, shelf(), "shop", "2026-01-05", "abc") == page
    assert EVIL not in page
    assert "<script" not in page
    assert not re.findall(r'(?:src|href)="(?!#)', page), "an outside reference"
    assert not re.findall(r"url\((?!data:)", page), "an outside reference"
    defined = re.findall(r"^\.([sp]\d+)\{background-image", page, re.M)
    used = set(re.findall(r'class="pic ([sp]\d+)"', page))
    assert len(defined) == len(set(defined))
    assert used == set(defined)
    panels = set(re.findall(r'popover id="(near-\d+)"', page))
    assert set(re.findall(r'popovertarget="(near-\d+)"', page)) == panels
    assert "sold out" in page
    assert len(page) < 400_000


def test_a_scene_without_box_price_or_look_is_still_shown() -> None:
    bare = replace(DATA, box=np.full_like(DATA.box, np.nan))
    nothing = make_look_book(Brightness(bare), bare, FOLDS.train, FOLDS.test, lambda *_: np.zeros(0, np.int32), 2, 0)
    page = render_look_book(nothing, bare, Shelf.of(bare.product_ids, NO_ITEMS), "shop", "2026-01-05", "abc")
    assert page.count("Nothing is left") == 2
    assert 'class="box' not in page


def test_heat_is_transparent_where_nothing_falls() -> None:
    flat, peak = heat_uri(np.full((2, 2), -1.0, np.float32)), heat_uri(np.array([[0, 1], [0, 0]], np.float32))
    assert flat.startswith("data:image/png")
    assert flat != peak
    assert flat == heat_uri(np.zeros((2, 2), np.float32))


def test_a_shelf_knows_what_the_catalogue_says() -> None:
    ids = DATA.product_ids
    items = pa.table(
        {"item_id": [ids[1], ids[0]], "title": ["Lamp", ""], "price": [2.5, None], "available": [False, True]}
    )
    found = Shelf.of(DATA.product_ids, items)
    assert found.titles[:3] == [ids[0], "Lamp", ids[2]]
    assert np.isnan(found.prices[0])
    assert found.prices[1] == 2.5
    assert found.available[:3].tolist() == [True, False, False]
    everything = Shelf.of(DATA.product_ids, NO_ITEMS)
    assert everything.available.all()
    assert np.isnan(everything.prices).all()
