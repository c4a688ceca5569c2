"""What the trainer makes small for the towers: pixels varied on the device, scores of the batch, and their loss."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Int

from recsys_pipeline.core.learning.looks.compatibility import LookTowers, score_matrix
from recsys_pipeline.core.learning.looks.config import StlConfig
from recsys_pipeline.core.learning.looks.objectives import Loss, Mining, batch_loss
from recsys_pipeline.core.learning.looks.pixels import Colours, augment, mask_products, normalise
from recsys_pipeline.core.learning.looks.triplet_batches import Batch
from recsys_pipeline.core.learning.neural.score_losses import soft_unit_norm


class Given(NamedTuple):
    """The numbers of `StlConfig` that a step uses, and the colours by which pixels are scaled."""

    margin: float
    temperature: float
    reg: float
    colour: float
    jitter: float
    min_crop_share: float
    colours: Colours


def given_by(config: StlConfig, colours: Colours) -> Given:
    """What these settings say of a step."""
    c = config
    return Given(c.margin, c.temperature, c.reg, c.colour, c.jitter, c.min_crop_share, colours)


class Shown(NamedTuple):
    """A batch as the towers see it: as `Batch`, but for images that are scaled, without products and varied."""

    scene: Float[Array, "batch size size 3"]
    product: Float[Array, "candidates size size 3"]
    category: Int[Array, " candidates"]
    positive: Bool[Array, "batch candidates"]
    negative: Bool[Array, "batch candidates"]


def shown(batch: Batch, given: Given, key: Any) -> Shown:
    """The towers' `Vary`: scenes without their product, and products, scaled and varied."""
    scene_key, product_key = jax.random.split(key)
    colours = given.colours
    scenes = normalise(batch.scene, colours.scene_mean, colours.scene_deviation, given.colour)
    scenes = augment(mask_products(scenes, batch.box, given.min_crop_share), scene_key, given.jitter)
    products = normalise(batch.product, colours.product_mean, colours.product_deviation, given.colour)
    products = augment(products, product_key, given.jitter)
    return Shown(scenes, products, *(jnp.asarray(c) for c in (batch.category, batch.positive, batch.negative)))


@dataclass(frozen=True)
class TowerLoss:
    """The loss of a batch of looks, and the soft unit norm of its embeddings; images enter in `precision`."""

    loss: Loss
    mining: Mining
    precision: str

    def __call__(self, towers: LookTowers, batch: Shown, given: Given, key: Any) -> Float[Array, ""]:
        """Of towers in training mode."""
        del key
        scenes, products = (pixels.astype(self.precision) for pixels in (batch.scene, batch.product))
        scene, product = towers.both(scenes, products, batch.category)
        scores = score_matrix(scene, product, batch.category)
        candidates = scores, batch.positive, batch.negative
        value = batch_loss(self.loss, self.mining, *candidates, given.margin, given.temperature)
        views = soft_unit_norm(scene.reshape(-1, scene.shape[-1])).sum() / scene.shape[1]
        norms = (views + soft_unit_norm(product).sum()) / len(scene)
        return value + given.reg * norms
