"""What the trainer makes small for the towers: pixels varied on the device, scores of the batch, and their loss."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

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


@dataclass(frozen=True)
class TowerLoss:
    """The loss of a batch of looks, and the soft unit norm of its embeddings; images enter in `precision`."""

    loss: Loss
    mining: Mining
    precision: str

    def __call__(self, towers: LookTowers, batch: Batch, given: Given, key: Any) -> Float[Array, ""]:
        """Of towers in training mode."""
        scenes, products = (pixels.astype(self.precision) for pixels in seen_pixels(batch, given, key))
        category, positive, negative = (jnp.asarray(c) for c in (batch.category, batch.positive, batch.negative))
        scene, product = towers.both(scenes, products, category)
        scores = score_matrix(scene, product, category)
        value = batch_loss(self.loss, self.mining, scores, positive, negative, given.margin, given.temperature)
        views = soft_unit_norm(scene.reshape(-1, scene.shape[-1])).sum() / scene.shape[1]
        norms = (views + soft_unit_norm(product).sum()) / len(scene)
        return value + given.reg * norms


def seen_pixels(batch: Batch, given: Given, key: Any) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Scenes without their product, and products, as a step shows them: scaled and varied."""
    scene_key, product_key = jax.random.split(key)
    colours = given.colours
    scenes = normalise(batch.scene, colours.scene_mean, colours.scene_deviation, given.colour)
    scenes = augment(mask_products(scenes, batch.box, given.min_crop_share), scene_key, given.jitter)
    products = normalise(batch.product, colours.product_mean, colours.product_deviation, given.colour)
    products = augment(products, product_key, given.jitter)
    # XLA on the CPU would otherwise fuse all of this into each convolution that reads it, and compute it several times.
    return jax.lax.optimization_barrier((scenes, products))
