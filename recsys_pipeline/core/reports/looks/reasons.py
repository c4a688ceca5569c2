"""Why a product was recommended for a scene: where the scene speaks for it, and which training pairs were like it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int32, UInt8

from recsys_pipeline.core.dataset.looks import LookData

PATCHES = 8
"""The scene is cut into 8 × 8 patches: with 64 × 64 pixels, squares of 8."""

ScoreImages = Callable[
    [UInt8[np.ndarray, "scenes size size 3"], Float32[np.ndarray, "scenes 4"]],
    Float32[np.ndarray, "scenes products"],
]
"""Scores of every product for some images, each with its box masked out."""


@dataclass(frozen=True)
class Precedent:
    """A training pair like the one recommended: a similar scene with a similar product of the same category."""

    look: int
    """Its row in `LookData`."""
    scene_similarity: float
    product_similarity: float


def occlusion_map(
    score: ScoreImages,
    image: UInt8[np.ndarray, "size size 3"],
    box: Float32[np.ndarray, " 4"],
    products: Int32[np.ndarray, " chosen"],
    whole: Float32[np.ndarray, " chosen"],
    patches: int = PATCHES,
) -> Float32[np.ndarray, "chosen patches patches"]:
    """By how much each product's score falls when a patch of the scene is painted in the scene's mean colour.

    `whole` are the products' scores with nothing covered. Above 0 the patch speaks for the product, below 0 against
    it. Zeiler and Fergus, "Visualizing and understanding convolutional networks", ECCV 2014, section 4.2.
    """
    covered = occluded(image, patches)
    scores = score(covered, np.tile(box, (len(covered), 1)))[:, products]
    return (whole - scores).T.reshape(len(products), patches, patches)


def occluded(image: UInt8[np.ndarray, "size size 3"], patches: int) -> UInt8[np.ndarray, "copies size size 3"]:
    """One copy of the image per patch, row by row, with that patch in the image's mean colour."""
    size = len(image)
    edges = np.linspace(0, size, patches + 1).round().astype(int)
    mean = image.mean(axis=(0, 1)).round().astype(np.uint8)
    copies = np.tile(image, (patches * patches, 1, 1, 1))
    for number, copy in enumerate(copies):
        down, across = divmod(number, patches)
        copy[edges[down] : edges[down + 1], edges[across] : edges[across + 1]] = mean
    return copies


def precedents(
    data: LookData,
    train_rows: Int32[np.ndarray, " train"],
    scene_similarity: Float32[np.ndarray, " train"],
    product_vectors: Float32[np.ndarray, "products dim"],
    product: int,
    n: int = 3,
) -> tuple[Precedent, ...]:
    """Up to n training pairs of the product's category, one per scene, most similar in scene and product together.

    `scene_similarity` are the cosines of the scene with the scene of each train row; `product_vectors` have length 1.
    The two cosines are added: a pair counts as like this one as far as both halves are.
    """
    same = data.product_category[data.product[train_rows]] == data.product_category[product]
    rows, scenes = train_rows[same], scene_similarity[same]
    products = product_vectors[data.product[rows]] @ product_vectors[product]
    found: list[Precedent] = []
    for at in np.argsort(-(scenes + products), kind="stable"):
        if len(found) < n and all(data.scene[rows[at]] != data.scene[other.look] for other in found):
            found.append(Precedent(int(rows[at]), float(scenes[at]), float(products[at])))
    return tuple(found)


def unit_length(vectors: Float32[np.ndarray, "n dim"]) -> Float32[np.ndarray, "n dim"]:
    """The vectors at length 1; a vector of length 0 stays."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(length > 0, length, 1)
