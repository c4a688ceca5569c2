"""Training of two towers on triplets: one jitted step, a resumable loop, running statistics carried along."""

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from recsys_pipeline.core.errors import ModelError, SettingError
from recsys_pipeline.core.folds.triplets import LooksTrain, draw_negatives
from recsys_pipeline.core.learning.looks.checkpoints import Checkpoints
from recsys_pipeline.core.learning.looks.losses import soft_unit_norm, triplet_loss
from recsys_pipeline.core.learning.looks.pixels import Colours, augment, blank_boxes, measure_colours, normalise
from recsys_pipeline.core.learning.looks.towers import PATCH, embed, init_towers, merge_towers, tower_graph
from recsys_pipeline.core.learning.looks.triplet_batches import Batch, TripletStream, gather
from recsys_pipeline.core.types import Progress, check_settings, setting

ADAM = optax.scale_by_adam()
"""Adam's direction; the learning rate is applied outside so that it need not be compiled in."""

WATCHED_PAIRS = 256
"""Validation pairs that are scored after an epoch: enough to watch, cheap beside the epoch itself."""


@dataclass(frozen=True)
class StlConfig:
    """Shop the look: two towers trained on triplets."""

    embedding_size: int = setting(64, "Dimensions of the space that scenes and products share.", ge=1)
    widths: tuple[int, ...] = setting((16, 32, 64, 128), "Channels of each residual block; each one halves the image.")
    epochs: int = setting(16, "Passes over the training pairs.", ge=1)
    batch_size: int = setting(32, "Triplets per step.", ge=2)
    learning_rate: float = setting(0.002, "Adam's peak step size; it falls to zero along a cosine.", gt=0)
    margin: float = setting(1.0, "By how much the right product should outscore a wrong one.", gt=0)
    reg: float = setting(0.1, "Weight of the soft unit norm: how much embeddings longer than 1 cost.", ge=0)
    # With some 1,700 pairs of the simulator, full colour was learned by heart (.61 on unseen scenes, .91 on train
    # scenes) and grey was not (.86 and .86).
    colour: float = setting(0.0, "How much colour the towers see: 0 shades of grey, 1 everything.", ge=0, le=1)
    jitter: float = setting(0.1, "Random change of hue, saturation and brightness while training.", ge=0, le=1)

    def __post_init__(self) -> None:
        check_settings(self)
        if not self.widths or min(self.widths) < 1:
            raise SettingError(f"StlConfig.widths must name at least one positive width, got {self.widths}")


class Rates(NamedTuple):
    """The numbers of `StlConfig` that a step uses; `learning` is the learning rate of that step."""

    learning: float
    margin: float
    reg: float
    colour: float
    jitter: float


class TrainingState(NamedTuple):
    """Everything that a step changes, as pure dictionaries of arrays."""

    params: Any
    batch_stats: Any
    optimizer: Any


@dataclass(frozen=True)
class TrainedTowers:
    """What training yields: weights, running statistics, and the colours by which pixels are scaled."""

    params: Any
    batch_stats: Any
    colours: Colours
    image_size: int


def train_towers(
    train: LooksTrain,
    config: StlConfig,
    seed: int,
    progress: Progress | None = None,
    checkpoint_dir: Path | None = None,
    checkpoint_steps: int = 200,
) -> TrainedTowers:
    """Train on every pair once per epoch; same inputs and seed give the same weights to the bit.

    With `checkpoint_dir`, the state is saved every `checkpoint_steps` steps and at the end; a training that was
    interrupted continues from the newest checkpoint and ends with the weights that it would have had. The folder
    may be shared: each config, seed and data has a subfolder of its own. Raises `ModelError` where there are no
    pairs, where images do not suit the towers, and where the loss stops being finite.
    """
    colours = colours_of(train)
    if checkpoint_dir is None:
        state = Training(train, config, seed, colours).run(progress, None, checkpoint_steps)
    else:
        with Checkpoints(checkpoint_dir / _fingerprint(train, config, seed, colours)) as checkpoints:
            state = Training(train, config, seed, colours).run(progress, checkpoints, checkpoint_steps)
    params, stats = jax.tree.map(np.asarray, (state.params, state.batch_stats))
    if not all(np.isfinite(array).all() for array in jax.tree.leaves((params, stats))):
        raise ModelError(f"the towers did not stay finite: lower learning_rate={config.learning_rate}")
    return TrainedTowers(params, stats, colours, train.data.scene_images.shape[1])


def untrained_towers(train: LooksTrain, config: StlConfig, seed: int) -> TrainedTowers:
    """The weights from which `train_towers` starts: the baseline that says what training is worth."""
    params, stats = jax.tree.map(np.asarray, init_towers(config.widths, config.embedding_size, seed))
    return TrainedTowers(params, stats, colours_of(train), train.data.scene_images.shape[1])


def colours_of(train: LooksTrain) -> Colours:
    """Colours of the training part alone; raises `ModelError` where it cannot be trained on."""
    if len(train.rows) == 0:
        raise ModelError("no pairs to train on: give the train part more scenes")
    size = train.data.scene_images.shape[1]
    if size % PATCH:
        raise ModelError(f"images of {size} pixels do not suit the towers: write the looks with a multiple of {PATCH}")
    scenes, products = np.unique(train.data.scene[train.rows]), np.unique(train.data.product[train.rows])
    return measure_colours(train.data.scene_images, scenes, train.data.product_images, products)


def _fingerprint(train: LooksTrain, config: StlConfig, seed: int, colours: Colours) -> str:
    """Names a training: anything that changes its weights changes the name."""
    digest = hashlib.blake2b(json.dumps([asdict(config), seed, train.data.product_ids]).encode(), digest_size=8)
    data = train.data
    for array in (train.rows, data.scene, data.product, data.box, data.product_category, *colours):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


class Training:
    """One run of the loop. The step number alone says which triplets come next and which key varies them."""

    def __init__(self, train: LooksTrain, config: StlConfig, seed: int, colours: Colours) -> None:
        self.train, self.config, self.seed, self.colours = train, config, seed, colours
        self.batch_size = min(config.batch_size, len(train.rows))
        self.n_steps = -(-config.epochs * len(train.rows) // self.batch_size)
        params, stats = init_towers(config.widths, config.embedding_size, seed)
        self.state = TrainingState(params, stats, ADAM.init(params))

    def run(self, progress: Progress | None, checkpoints: Checkpoints | None, checkpoint_steps: int) -> TrainingState:
        first = (checkpoints.latest_step() or 0) if checkpoints else 0
        if checkpoints and first:
            self.state = checkpoints.restore(first, self.state)
        config = self.config
        graph = tower_graph(config.widths, config.embedding_size, training=True)
        stream, key = TripletStream(self.train, self.seed, self.batch_size), jax.random.key(self.seed)
        losses = []
        for step in range(first, self.n_steps):
            batch = gather(self.train.data, stream.step(step))
            learning = config.learning_rate * (1 + math.cos(math.pi * step / self.n_steps)) / 2
            rates = Rates(learning, config.margin, config.reg, config.colour, config.jitter)
            step_key = jax.random.fold_in(key, step)
            self.state, loss = _update(graph, self.state, rates, self.colours, batch, step_key)
            losses.append(loss)
            last = step + 1 == self.n_steps
            if last or self._epoch_at(step + 1) > self._epoch_at(step):
                self._report(self._epoch_at(step + 1), losses, progress)
                losses = []
            if checkpoints and (last or (step + 1) % checkpoint_steps == 0):
                checkpoints.save(step + 1, self.state)
        return self.state

    def _epoch_at(self, step: int) -> int:
        return min(step * self.batch_size // len(self.train.rows), self.config.epochs)

    def _report(self, epoch: int, losses: list[jax.Array], progress: Progress | None) -> None:
        """Tell the mean loss of the epoch (once resumed, of its rest), and how often watched pairs come out right."""
        loss = float(np.mean(jax.device_get(losses)))
        if not np.isfinite(loss):
            raise ModelError(
                f"the loss became {loss} in epoch {epoch}: lower learning_rate={self.config.learning_rate}"
            )
        if progress is not None:
            accuracy = self._validation_accuracy()
            watched = {} if accuracy is None else {"validation_accuracy": accuracy}
            progress(f"epoch {epoch}/{self.config.epochs}", {"epoch": epoch, "loss": loss, **watched})

    def _validation_accuracy(self) -> float | None:
        """Share of watched pairs whose product outscores one other of its category; None where none is watched."""
        rows = self.train.validation_rows
        if len(rows) == 0:
            return None
        rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), WATCHED_PAIRS)).astype(int)]
        data = self.train.data
        graph = tower_graph(self.config.widths, self.config.embedding_size, training=False)
        vectors = partial(embed, graph, (self.state.params, self.state.batch_stats), self.colours, self.config.colour)
        negatives = draw_negatives(data, rows, 1, np.random.default_rng(self.seed))[:, 0]
        scene = vectors("scene", data.scene_images[data.scene[rows]], data.box[rows])
        positive, negative = (vectors("product", data.product_images[p]) for p in (data.product[rows], negatives))
        margin = np.sum(scene * (positive - negative), axis=1)
        return float(np.mean((margin > 0) + 0.5 * (margin == 0)))


@partial(jax.jit, static_argnums=0)
def _update(
    graph: Any, state: TrainingState, rates: Rates, colours: Colours, batch: Batch, key: Any
) -> tuple[TrainingState, jax.Array]:
    """One step; the running statistics of batch norm come back with the weights.

    Only the graph is static, so that all trials of a sweep over the rates share one compilation.
    """
    scene_key, product_key = jax.random.split(key)
    scenes = normalise(batch.scene, colours.scene_mean, colours.scene_deviation, rates.colour)
    scenes = augment(blank_boxes(scenes, batch.box), scene_key, rates.jitter)
    products = jnp.concatenate([batch.positive, batch.negative])
    products = normalise(products, colours.product_mean, colours.product_deviation, rates.colour)
    products = augment(products, product_key, rates.jitter)

    def objective(params: Any) -> tuple[jax.Array, Any]:
        towers = merge_towers(graph, params, state.batch_stats)
        scene = towers.scene(scenes)
        positive, negative = jnp.split(towers.product(products), 2)
        hinge = triplet_loss(jnp.sum(scene * positive, -1), jnp.sum(scene * negative, -1), rates.margin)
        norms = soft_unit_norm(scene) + soft_unit_norm(positive) + soft_unit_norm(negative)
        return jnp.mean(hinge + rates.reg * norms), nnx.to_pure_dict(nnx.state(towers, nnx.BatchStat))

    (loss, stats), gradient = jax.value_and_grad(objective, has_aux=True)(state.params)
    direction, optimizer_state = ADAM.update(gradient, state.optimizer, state.params)
    params = jax.tree.map(lambda weight, move: weight - rates.learning * move, state.params, direction)
    return TrainingState(params, stats, optimizer_state), loss
