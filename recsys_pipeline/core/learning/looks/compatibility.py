"""How well a product suits a scene: by the whole scene, through a gate per category, or by regions of the scene.

Every score is the dot product of a scene's vector and a product's vector; the category of the product may change
either of them:

- `global`: it changes neither.
- `gated`: a product's vector is multiplied by the gate of its category, one non-negative number per dimension
  (Veit et al., "Conditional similarity networks", CVPR 2017), so one index serves all categories.
- `local`: a scene has a vector per category, half of it global and half the mean of its regions, weighed by how near
  each is to the embedding of the category (Kang et al., "Complete the Look", CVPR 2019, section 4: there, squared
  distances of unit vectors, which rank as dot products do). One departure: both halves are compared with one product
  vector where the paper has two, so that the catalogue is exported once.

Category −1 is an unknown one: its gate, or its scene vector, is the mean over all categories.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array
from jaxtyping import Float, Float32, Int, Int32

from recsys_pipeline.core.learning.looks.towers import Architecture, Seen, discover_towers


class CategoryGates(nnx.Module):
    """A non-negative weight per category and dimension, 1 at the start."""

    def __init__(self, n_categories: int, embedding_size: int) -> None:
        self.weight = nnx.Param(jnp.ones((n_categories, embedding_size)))

    def __call__(self, vectors: Float[Array, "n dim"], category: Int[Array, " n"]) -> Float[Array, "n dim"]:
        return vectors * _with_mean(nnx.relu(self.weight[...]))[category]


class RegionAttention(nnx.Module):
    """For each category, the regions of a scene weighed by `softmax(-‖region - category‖²)`, and their mean."""

    def __init__(self, channels: int, n_categories: int, embedding_size: int, rngs: nnx.Rngs) -> None:
        self.project = nnx.Linear(channels, embedding_size, rngs=rngs)
        self.scale = embedding_size**-0.5
        start = jax.random.normal(rngs.params(), (n_categories, embedding_size))
        self.category = nnx.Param(self.scale * start)

    def __call__(self, regions: Float[Array, "n regions channels"]) -> Float[Array, "n categories dim"]:
        places = self.scale * self.project(regions.astype(jnp.float32))
        apart = jnp.sum(jnp.square(places[:, None] - self.category[...][:, None]), axis=-1)
        return jnp.einsum("ncr,nrd->ncd", jax.nn.softmax(-apart, axis=-1), places)


class LookTowers(nnx.Module):
    """A tower for scenes and one for products, or one for both, and what their scores depend on besides."""

    def __init__(self, architecture: Architecture, key: Any) -> None:
        build = discover_towers()[architecture.tower].build
        scene_key, product_key, category_key = jax.random.split(key, 3)
        self.product = build(architecture, nnx.Rngs(params=product_key))
        self.scene: Any = None if architecture.shared else build(architecture, nnx.Rngs(params=scene_key))
        n_categories, size = architecture.n_categories, architecture.embedding_size
        gated, local = (architecture.compatibility == kind for kind in ("gated", "local"))
        self.gates: Any = CategoryGates(n_categories, size) if gated else None
        rngs = nnx.Rngs(params=category_key)
        self.attention: Any = RegionAttention(self.product.channels, n_categories, size, rngs) if local else None

    def scene_vectors(self, pixels: Float[Array, "n size size 3"]) -> Float[Array, "n views dim"]:
        """One view, or one for each category and the mean of all, each of them for the products of that category."""
        return self._views((self.scene or self.product)(pixels))

    def product_vectors(
        self, pixels: Float[Array, "n size size 3"], category: Int[Array, " n"]
    ) -> Float[Array, "n dim"]:
        """Vectors of products of these categories."""
        return self._gated(self.product(pixels), category)

    def both(
        self,
        scenes: Float[Array, "scenes size size 3"],
        products: Float[Array, "products size size 3"],
        category: Int[Array, " products"],
    ) -> tuple[Float[Array, "scenes views dim"], Float[Array, "products dim"]]:
        """Vectors of a training batch. A shared tower sees all its images at once, as its statistics are of both."""
        if self.scene is not None:
            return self.scene_vectors(scenes), self.product_vectors(products, category)
        seen = self.product(jnp.concatenate([scenes, products]))
        scene, product = (Seen(*(part[at] for part in seen)) for at in (slice(len(scenes)), slice(len(scenes), None)))
        return self._views(scene), self._gated(product, category)

    def frozen(self) -> list[nnx.Module]:
        """Parts of the towers that stay in evaluation mode while the rest is trained."""
        return [part for tower in (self.scene, self.product) if tower is not None for part in tower.frozen()]

    def _views(self, seen: Seen) -> Float[Array, "n views dim"]:
        whole = seen.vector.astype(jnp.float32)[:, None]
        if self.attention is None:
            return whole
        regions = self.attention(seen.regions)
        return (whole + jnp.concatenate([regions, regions.mean(axis=1, keepdims=True)], axis=1)) / 2

    def _gated(self, seen: Seen, category: Int[Array, " n"]) -> Float[Array, "n dim"]:
        vectors = seen.vector.astype(jnp.float32)
        return vectors if self.gates is None else self.gates(vectors, category)


def score_matrix(
    scenes: Float[Array, "scenes views dim"], products: Float[Array, "products dim"], category: Int[Array, " products"]
) -> Float[Array, "scenes products"]:
    """The dot product of every scene's view of a product's category with that product."""
    if scenes.shape[1] == 1:
        return scenes[:, 0] @ products.T
    return jnp.einsum("spd,pd->sp", scenes[:, category], products)


def score_all(
    scenes: Float32[np.ndarray, "scenes views dim"],
    products: Float32[np.ndarray, "products dim"],
    category: Int32[np.ndarray, " products"],
) -> Float32[np.ndarray, "scenes products"]:
    """`score_matrix` outside of training: category by category, so that no vector is copied for each product."""
    if scenes.shape[1] == 1:
        return scenes[:, 0] @ products.T
    scores = np.empty((len(scenes), len(products)), np.float32)
    for row in np.unique(category):
        scores[:, category == row] = scenes[:, row] @ products[category == row].T
    return scores


def _with_mean(rows: Float[Array, "n dim"]) -> Float[Array, "n_and_mean dim"]:
    """The rows, and behind them, where −1 points, their mean."""
    return jnp.concatenate([rows, rows.mean(axis=0, keepdims=True)])
