"""What the trained towers are compared with: chance, popularity, colours, and the same towers before training."""

import numpy as np
from jaxtyping import Float32, Int32, UInt8

from recsys_pipeline.core.dataset.looks import LookData
from recsys_pipeline.core.learning.looks.pixels import box_pixels
from recsys_pipeline.core.models.stl import StlModel
from recsys_pipeline.core.reports.looks.looks import Scorer

BINS = 4
"""Levels per channel of the colour histogram: 64 colours."""


def look_scorers(
    model: StlModel, untrained: StlModel, data: LookData, train_rows: Int32[np.ndarray, " train"], seed: int
) -> dict[str, Scorer]:
    """The model named `stl` and its baselines, weakest first."""
    return {
        "random": random_scorer(data, seed),
        "popularity": popularity_scorer(data, train_rows),
        "colour_histogram": histogram_scorer(data),
        "untrained": tower_scorer(untrained, data),
        "stl": tower_scorer(model, data),
    }


def tower_scorer(model: StlModel, data: LookData) -> Scorer:
    """Dot products of embeddings; the whole catalogue is embedded once, here."""
    products = model.embed_products(data.product_images)

    def score(rows: Int32[np.ndarray, " pairs"]) -> Float32[np.ndarray, "pairs products"]:
        return model.embed_scenes(data.scene_images[data.scene[rows]], data.box[rows]) @ products.T

    return score


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
