"""The look book: test scenes, the look that is recommended for each, and why. `look_book_page.py` draws it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Int32, UInt8

from recsys_pipeline.core.dataset.looks import LookData
from recsys_pipeline.core.dataset.shelf import Shelf
from recsys_pipeline.core.hashing import text_hashes
from recsys_pipeline.core.neighbors.similar import similar_products
from recsys_pipeline.core.reports.looks.look_scorers import spread_rows
from recsys_pipeline.core.reports.looks.reasons import Precedent, occlusion_map, precedents, unit_length

Recommend = Callable[[Float32[np.ndarray, " products"], Sequence[int]], Int32[np.ndarray, " chosen"]]
"""From the scores of all products and the categories that the scene has to the products of the look, best first."""

N_NEIGHBOURS = 8
MAX_PRECEDENTS = 2048
"""Train pairs among which precedents are sought, evenly spaced: a page is no place to embed every scene again."""


@runtime_checkable
class SceneScorer(Protocol):
    """What the book asks of a model; `TowerScorer` is one."""

    products: Float32[np.ndarray, "products dim"]
    """Vectors of all products, as one compares products with each other."""

    def __call__(self, rows: Int32[np.ndarray, " pairs"]) -> Float32[np.ndarray, "pairs products"]:
        """Scores of all products for the scene of each look row."""
        ...

    def scenes(self, rows: Int32[np.ndarray, " pairs"]) -> Float32[np.ndarray, "pairs dim"]:
        """Vectors of these scenes, as one compares scenes with each other."""
        ...

    def score_images(
        self, images: UInt8[np.ndarray, "scenes size size 3"], boxes: Float32[np.ndarray, "scenes 4"]
    ) -> Float32[np.ndarray, "scenes products"]:
        """Scores of all products for any scenes, each with its box masked out."""
        ...


@dataclass(frozen=True)
class BookItem:
    """One product of a look."""

    product: int
    score: float
    place: int
    """Its place among the products of its category for this scene, 1 being the best; places of those sold out count."""
    of: int
    """Products of its category."""
    stood_there: bool
    """Whether it is the very product that stood in the masked box."""
    heat: Float32[np.ndarray, "patches patches"]
    """By how much the score falls when a patch of the scene is covered."""
    precedents: tuple[Precedent, ...]


@dataclass(frozen=True)
class BookScene:
    """A test scene with one product masked out, and what is recommended for it."""

    look: int
    """The row of `LookData` whose product is masked out."""
    others: tuple[int, ...]
    """Rows of the scene's other products."""
    true_place: int
    """The place of the masked product among its category."""
    true_of: int
    items: tuple[BookItem, ...]


@dataclass(frozen=True)
class LookBook:
    """All that the page shows."""

    scenes: tuple[BookScene, ...]
    neighbours: dict[int, list[tuple[int, float]]]
    """For each product of a look, and each masked one: the products most like it with their cosines."""


def make_look_book(
    scorer: SceneScorer,
    data: LookData,
    train_rows: Int32[np.ndarray, " train"],
    test_rows: Int32[np.ndarray, " test"],
    recommend: Recommend,
    n_scenes: int,
    seed: int,
) -> LookBook:
    """Looks for `n_scenes` test scenes drawn by seed, each with one of its products masked out.

    A scene lacks the masked product's category and all that it never had; the look has one product of each at most.
    """
    train_rows = spread_rows(train_rows, MAX_PRECEDENTS)
    references = unit_length(scorer.scenes(train_rows))
    products = unit_length(scorer.products)
    scenes = tuple(
        _book_scene(scorer, data, train_rows, references, products, recommend, int(row))
        for row in _drawn(data, test_rows, n_scenes, seed)
    )
    shown = sorted({item.product for scene in scenes for item in scene.items} | {_masked(data, s) for s in scenes})
    rows, cosines = similar_products(
        scorer.products, np.array(shown, np.int32), N_NEIGHBOURS, tie_key=text_hashes(data.product_ids)
    )
    neighbours = {
        product: [(int(row), float(cosine)) for row, cosine in zip(*found, strict=True) if row >= 0]
        for product, *found in zip(shown, rows, cosines, strict=True)
    }
    return LookBook(scenes, neighbours)


def _drawn(data: LookData, rows: Int32[np.ndarray, " test"], n_scenes: int, seed: int) -> np.ndarray:
    """One pair per scene, with a known box where there is any, in the order of the scenes."""
    boxed = rows[~np.isnan(data.box[rows]).any(axis=1)]
    shuffled = np.random.default_rng(seed).permutation(boxed if len(boxed) else rows)
    _, first = np.unique(data.scene[shuffled], return_index=True)
    return np.sort(shuffled[np.sort(first)[:n_scenes]])


def _book_scene(
    scorer: SceneScorer,
    data: LookData,
    train_rows: np.ndarray,
    references: np.ndarray,
    products: np.ndarray,
    recommend: Recommend,
    row: int,
) -> BookScene:
    pair = np.array([row], np.int32)
    scores = scorer(pair)[0]
    others = [int(other) for other in np.flatnonzero(data.scene == data.scene[row]) if other != row]
    present = sorted({int(data.product_category[data.product[other]]) for other in others})
    chosen = recommend(scores, present)
    image = np.asarray(data.scene_images[data.scene[row]])
    heat = occlusion_map(scorer.score_images, image, data.box[row], chosen, scores[chosen])
    similarity = references @ unit_length(scorer.scenes(pair))[0]
    true = int(data.product[row])
    items = tuple(
        BookItem(
            int(product), float(scores[product]), *_place(scores, data, int(product)), bool(product == true),
            heat[at], precedents(data, train_rows, similarity, products, int(product)),
        )
        for at, product in enumerate(chosen)
    )  # fmt: skip
    return BookScene(row, tuple(others), *_place(scores, data, true), items)


def _place(scores: np.ndarray, data: LookData, product: int) -> tuple[int, int]:
    """The product's place among its category, and how many that has."""
    same = data.product_category == data.product_category[product]
    return 1 + int((scores[same] > scores[product]).sum()), int(same.sum())


def _masked(data: LookData, scene: BookScene) -> int:
    return int(data.product[scene.look])


def total_price(scene: BookScene, shelf: Shelf) -> float:
    """What the look costs; NaN where a price is not known."""
    return float(sum(shelf.prices[item.product] for item in scene.items))
