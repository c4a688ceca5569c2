"""What the trained towers are compared with: chance, popularity, colours, and the same towers before training."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Int32, UInt8

from recsys_pipeline.core.dataset.looks import LookData
from recsys_pipeline.core.learning.looks.pixels import box_pixels
from recsys_pipeline.core.models.stl import StlModel
from recsys_pipeline.core.neighbors.hubness import fit_correction
from recsys_pipeline.core.reports.looks.looks import Scorer

BINS = 4
"""Levels per channel of the colour histogram: 64 colours."""
MAX_REFERENCES = 1024
"""Train rows by which hubs are told: a product's mean and its ten nearest need no more."""


class TowerScorer:
    """Scores of the towers; the whole catalogue is embedded once, when this is made."""

    def __init__(self, model: StlModel, data: LookData) -> None:
        self.model, self.data = model, data
        self.categories = [data.categories[row] for row in data.product_category]
        self.products = model.embed_products(data.product_images, self.categories)

    def __call__(self, rows: Int32[np.ndarray, " pairs"]) -> Float32[np.ndarray, "pairs products"]:
        return self.score_images(self.data.scene_images[self.data.scene[rows]], self.data.box[rows])

    def scenes(self, rows: Int32[np.ndarray, " pairs"]) -> Float32[np.ndarray, "pairs dim"]:
        """Vectors of the scenes, as one compares scenes with each other; scores may look at them by category."""
        return self.model.embed_scenes(self.data.scene_images[self.data.scene[rows]], self.data.box[rows])

    def score_images(
        self, images: UInt8[np.ndarray, "scenes size size 3"], boxes: Float32[np.ndarray, "scenes 4"]
    ) -> Float32[np.ndarray, "scenes products"]:
        """Scores of every product for any scenes, each with its box masked out."""
        return self.model.score(images, boxes, self.products, self.categories)


def look_scorers(
    towers: TowerScorer,
    untrained: StlModel,
    train_rows: Int32[np.ndarray, " train"],
    seed: int,
    corrections: Sequence[str] = (),
) -> dict[str, Scorer]:
    """The towers named `stl` and their baselines, weakest first; then `stl` with each correction of hubs.

    A correction is fitted on train rows alone, so a pair's scores do not depend on the other pairs. Raises
    `SettingError` for a correction that does not exist.
    """
    data = towers.data
    scorers: dict[str, Scorer] = {
        "random": random_scorer(data, seed),
        "popularity": popularity_scorer(data, train_rows),
        "colour_histogram": histogram_scorer(data),
        "untrained": TowerScorer(untrained, data),
        "stl": towers,
    }
    if corrections:
        references = towers(spread_rows(train_rows, MAX_REFERENCES))
        scorers |= {f"stl_{method}": corrected(towers, method, references) for method in corrections}
    return scorers


def corrected(scorer: Scorer, method: str, reference_scores: Float32[np.ndarray, "references products"]) -> Scorer:
    """The same scores, with hubs taken down by what they score with the references."""
    correction = fit_correction(method, reference_scores)
    return lambda rows: correction(scorer(rows))


def spread_rows(rows: Int32[np.ndarray, " rows"], at_most: int) -> Int32[np.ndarray, " some"]:
    """At most so many of the rows, evenly spaced."""
    return rows[np.linspace(0, len(rows) - 1, min(len(rows), at_most)).astype(int)]


def random_scorer(data: LookData, seed: int) -> Scorer:
    """Uniform noise; a pair gets the same noise whatever it is scored with."""
    n_products = len(data.product_ids)

    def score(rows: Int32[np.ndarray, " pairs"]) -> Float32[np.ndarray, "pairs products"]:
        noise = [np.random.default_rng([seed, int(row)]).random(n_products, np.float32) for row in rows]
        return np.stack(noise) if noise else np.zeros((0, n_products), np.float32)

    return score


def popularity_scorer(data: LookData, train_rows: Int32[np.ndarray, " train"]) -> Scorer:
    """In how many train looks each product is, whatever the scene."""
    counts = np.bincount(data.product[train_rows], minlength=len(data.product_ids)).astype(np.float32)
    return lambda rows: np.tile(counts, (len(rows), 1))


def histogram_scorer(data: LookData) -> Scorer:
    """Bhattacharyya coefficient Σ √(p q) of the colour histograms of scene (outside the box) and product."""
    no_boxes = np.full((len(data.product_ids), 4), np.nan, np.float32)
    products = np.sqrt(colour_histograms(data.product_images, no_boxes))

    def score(rows: Int32[np.ndarray, " pairs"]) -> Float32[np.ndarray, "pairs products"]:
        return np.sqrt(colour_histograms(data.scene_images[data.scene[rows]], data.box[rows])) @ products.T

    return score


def colour_histograms(
    images: UInt8[np.ndarray, "n size size 3"], boxes: Float32[np.ndarray, "n 4"]
) -> Float32[np.ndarray, "n colours"]:
    """Share of each of `BINS`³ colours among the pixels outside the box."""
    size = images.shape[1]
    histograms = np.zeros((len(images), BINS**3), np.float32)
    for row, (image, sides) in enumerate(zip(images, boxes, strict=True)):
        level = image.astype(np.int64) * BINS // 256
        colour = (level[..., 0] * BINS + level[..., 1]) * BINS + level[..., 2]
        visible = np.ones((size, size), bool)
        visible[box_pixels(sides, size)] = False
        counts = np.bincount(colour[visible], minlength=BINS**3)
        histograms[row] = counts / max(counts.sum(), 1)
    return histograms
