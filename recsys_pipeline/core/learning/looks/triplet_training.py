"""Training of the towers: one jitted step, a resumable loop, running statistics carried along."""

import hashlib
import json
import math
from contextlib import closing
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from recsys_pipeline.core.errors import ModelError
from recsys_pipeline.core.folds.negatives import draw_negatives
from recsys_pipeline.core.folds.triplets import LooksTrain
from recsys_pipeline.core.learning.looks.checkpoints import Checkpoints
from recsys_pipeline.core.learning.looks.compatibility import score_all, score_matrix
from recsys_pipeline.core.learning.looks.config import StlConfig
from recsys_pipeline.core.learning.looks.losses import soft_unit_norm
from recsys_pipeline.core.learning.looks.networks import Network, init_towers, network
from recsys_pipeline.core.learning.looks.objectives import Loss, Mining, batch_loss
from recsys_pipeline.core.learning.looks.pixels import Colours, augment, mask_products, measure_colours, normalise
from recsys_pipeline.core.learning.looks.prefetch import prefetched
from recsys_pipeline.core.learning.looks.sharding import Placement
from recsys_pipeline.core.learning.looks.towers import Architecture, discover_towers
from recsys_pipeline.core.learning.looks.trained_towers import TrainedTowers, carried_over, course_of
from recsys_pipeline.core.learning.looks.triplet_batches import Batch, BatchReader
from recsys_pipeline.core.progress import Progress

ADAM = optax.scale_by_adam()
"""Adam's direction; the learning rate is applied outside so that it need not be compiled in."""

WATCHED_PAIRS = 256
WATCHED_NEGATIVES = 4
"""Validation pairs that are scored after an epoch, and products that each is compared with."""


class Rates(NamedTuple):
    """The numbers of `StlConfig` that a step uses; `learning` is the learning rate of that step."""

    learning: float
    margin: float
    temperature: float
    reg: float
    colour: float
    jitter: float
    min_crop_share: float


class TrainingState(NamedTuple):
    """Everything that a step changes, as pure dictionaries of arrays."""

    params: Any
    batch_stats: Any
    optimizer: Any


def train_towers(
    train: LooksTrain,
    config: StlConfig,
    seed: int,
    progress: Progress | None = None,
    checkpoint_dir: Path | None = None,
    checkpoint_steps: int = 200,
    start: TrainedTowers | None = None,
) -> TrainedTowers:
    """Train on every pair once per epoch; same inputs and seed give the same weights to the bit.

    With `start`, training goes on from earlier towers, by `warm_epochs` at `warm_learning_rate`: weights, running
    statistics and colours are theirs, and Adam's moments begin anew.

    With `checkpoint_dir`, the state is saved every `checkpoint_steps` steps and at the end; a training that was
    interrupted continues from the newest checkpoint and ends with the weights that it would have had. The folder
    may be shared: each config, seed, start and data has a subfolder of its own. Raises `ModelError` where there are no
    pairs, where images or `start` do not suit the towers, and where the loss stops being finite; `SettingError` where
    there are fewer devices than `n_devices`.
    """
    measured = colours_of(train, config)  # which also finds what cannot be trained on
    colours = start.colours if start else measured
    training = Training(train, config, seed, colours, start)
    if checkpoint_dir is None:
        state = training.run(progress, None, checkpoint_steps)
    else:
        with Checkpoints(checkpoint_dir / _fingerprint(train, config, seed, colours, start)) as checkpoints:
            state = training.run(progress, checkpoints, checkpoint_steps)
    course = training.course
    towers = _trained(train, colours, state.params, state.batch_stats, course.epochs_before + course.epochs)
    if not all(np.isfinite(array).all() for array in jax.tree.leaves((towers.params, towers.batch_stats))):
        raise ModelError(f"the towers did not stay finite: lower learning_rate={course.peak}")
    return towers


def untrained_towers(train: LooksTrain, config: StlConfig, seed: int) -> TrainedTowers:
    """The weights from which `train_towers` starts: the baseline that says what training is worth."""
    architecture = architecture_of(train, config)
    return _trained(train, colours_of(train, config), *init_towers(architecture, seed, config.backbone_weights))


def _trained(train: LooksTrain, colours: Colours, params: Any, batch_stats: Any, epochs: int = 0) -> TrainedTowers:
    params, batch_stats = jax.tree.map(np.asarray, (params, batch_stats))
    size, categories = train.data.scene_images.shape[1], tuple(train.data.categories)
    return TrainedTowers(params, batch_stats, colours, size, categories, epochs)


def architecture_of(train: LooksTrain, config: StlConfig) -> Architecture:
    """The networks' shapes for these images and categories."""
    return config.architecture(train.data.scene_images.shape[1], len(train.data.categories))


def colours_of(train: LooksTrain, config: StlConfig) -> Colours:
    """Colours of the training part alone; raises `ModelError` where it cannot be trained on."""
    if len(train.rows) < max(config.n_devices, 1):
        raise ModelError(f"{len(train.rows) or 'no'} pairs to train on: give the train part more scenes")
    size, multiple = train.data.scene_images.shape[1], discover_towers()[config.tower].multiple
    if size % multiple:
        raise ModelError(
            f"images of {size} pixels do not suit tower {config.tower!r}: write the looks with a multiple of {multiple}"
        )
    scenes, products = np.unique(train.data.scene[train.rows]), np.unique(train.data.product[train.rows])
    return measure_colours(train.data.scene_images, scenes, train.data.product_images, products)


def _fingerprint(train: LooksTrain, config: StlConfig, seed: int, colours: Colours, start: TrainedTowers | None) -> str:
    """Names a training: anything that changes its weights changes the name."""
    data = train.data
    facts = [asdict(config), seed, data.product_ids, data.categories]
    digest = hashlib.blake2b(json.dumps(facts).encode(), digest_size=8)
    arrays = [train.rows, train.held_out, data.scene, data.product, data.box, data.product_category, *colours]
    arrays += jax.tree.leaves((start.params, start.batch_stats, start.epochs)) if start else []
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    if config.backbone_weights:
        digest.update(Path(config.backbone_weights).read_bytes())
    return digest.hexdigest()


class Training:
    """One run of the loop. The step number alone says which batch comes next and which key varies it."""

    def __init__(
        self, train: LooksTrain, config: StlConfig, seed: int, colours: Colours, start: TrainedTowers | None = None
    ) -> None:
        self.train, self.config, self.seed, self.colours = train, config, seed, colours
        self.placement = Placement(config.n_devices)
        self.course = course_of(config, seed, start)
        self.reader = BatchReader(train, config, self.course.seed)
        self.batch_size = self.reader.stream.batch_size
        self.waits_s: list[float] = []
        """Per step, how long it stood still for its pixels."""
        self.n_steps = -(-self.course.epochs * len(train.rows) // self.batch_size)
        params, stats = init_towers(architecture_of(train, config), seed, config.backbone_weights)
        if start:
            params, stats = carried_over(start, params, stats, train.data.categories, train.data.scene_images.shape[1])
        self.state = self.placement.state(TrainingState(params, stats, ADAM.init(params)))

    def run(self, progress: Progress | None, checkpoints: Checkpoints | None, checkpoint_steps: int) -> TrainingState:
        first, self.state = (checkpoints.newest(self.state) if checkpoints else None) or (0, self.state)
        config = self.config
        graph, key = network(architecture_of(self.train, config), training=True), jax.random.key(self.course.seed)
        losses = []
        with closing(prefetched(self.reader.steps(first, self.n_steps), self.waits_s)) as batches:
            for step, batch in enumerate(batches, first):
                self.state, loss = update(
                    graph, config.loss, config.mining, self.state, self.rates(step), self.colours,
                    self.placement.batch(batch), jax.random.fold_in(key, step),
                )  # fmt: skip
                losses.append(loss)
                last = step + 1 == self.n_steps
                if last or self._epoch_at(step + 1) > self._epoch_at(step):
                    self._report(self._epoch_at(step + 1), losses, progress)
                    losses = []
                if checkpoints and (last or (step + 1) % checkpoint_steps == 0):
                    checkpoints.save(step + 1, self.state)
        return self.state

    def rates(self, step: int) -> Rates:
        """The numbers of a step."""
        c = self.config
        learning = self.course.peak * (1 + math.cos(math.pi * step / self.n_steps)) / 2
        return Rates(learning, c.margin, c.temperature, c.reg, c.colour, c.jitter, c.min_crop_share)

    def _epoch_at(self, step: int) -> int:
        return min(step * self.batch_size // len(self.train.rows), self.course.epochs)

    def _report(self, epoch: int, losses: list[jax.Array], progress: Progress | None) -> None:
        """Tell the mean loss of the epoch (once resumed, of its rest), and how often watched pairs come out right."""
        loss = float(np.mean(jax.device_get(losses)))
        if not np.isfinite(loss):
            raise ModelError(f"the loss became {loss} in epoch {epoch}: lower learning_rate={self.course.peak}")
        if progress is not None:
            accuracy = self._validation_accuracy()
            watched = {} if accuracy is None else {"validation_accuracy": accuracy}
            progress(f"epoch {epoch}/{self.course.epochs}", {"epoch": epoch, "loss": loss, **watched})

    def _validation_accuracy(self) -> float | None:
        """How often watched pairs outscore other products of their category; None where none is watched."""
        rows = self.train.validation_rows
        if len(rows) == 0:
            return None
        rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), WATCHED_PAIRS)).astype(int)]
        data = self.train.data
        rng = np.random.default_rng(self.seed)
        negatives = draw_negatives(data, rows, WATCHED_NEGATIVES, rng, held_out=self.train.held_out)
        embedder = _trained(self.train, self.colours, self.state.params, self.state.batch_stats).embedder(self.config)
        scenes = embedder.scenes(data.scene_images[data.scene[rows]], data.box[rows])
        compared = np.concatenate([data.product[rows][:, None], negatives], axis=1)
        shown, place = np.unique(compared, return_inverse=True)
        category = data.product_category[shown]
        products = embedder.products(data.product_images[shown], category)
        scores = np.take_along_axis(score_all(scenes, products, category), place, axis=1)
        above = scores[:, :1] - scores[:, 1:]
        return float(np.mean((above > 0) + 0.5 * (above == 0)))


@partial(jax.jit, static_argnums=(0, 1, 2))
def update(
    graph: Network,
    loss: Loss,
    mining: Mining,
    state: TrainingState,
    rates: Rates,
    colours: Colours,
    batch: Batch,
    key: Any,
) -> tuple[TrainingState, jax.Array]:
    """One step; the running statistics of batch norm come back with the weights.

    Only the graph and the kind of loss are static, so that all trials of a sweep over the rates share one compilation.
    """
    scene_key, product_key = jax.random.split(key)
    scenes = normalise(batch.scene, colours.scene_mean, colours.scene_deviation, rates.colour)
    scenes = augment(mask_products(scenes, batch.box, rates.min_crop_share), scene_key, rates.jitter)
    products = normalise(batch.product, colours.product_mean, colours.product_deviation, rates.colour)
    products = augment(products, product_key, rates.jitter)
    # XLA on the CPU would otherwise fuse all of this into each convolution that reads it, and compute it several times.
    scenes, products = jax.lax.optimization_barrier((scenes, products))

    category, positive, negative = (jnp.asarray(column) for column in (batch.category, batch.positive, batch.negative))

    def objective(params: Any) -> tuple[jax.Array, Any]:
        towers = graph.towers(params, state.batch_stats)
        scene, product = towers.both(scenes.astype(graph.precision), products.astype(graph.precision), category)
        scores = score_matrix(scene, product, category)
        value = batch_loss(loss, mining, scores, positive, negative, rates.margin, rates.temperature)
        views = soft_unit_norm(scene.reshape(-1, scene.shape[-1])).sum() / scene.shape[1]
        norms = (views + soft_unit_norm(product).sum()) / len(scene)
        return value + rates.reg * norms, nnx.to_pure_dict(nnx.state(towers, nnx.BatchStat))

    (value, stats), gradient = jax.value_and_grad(objective, has_aux=True)(state.params)
    direction, optimizer_state = ADAM.update(gradient, state.optimizer, state.params)
    params = jax.tree.map(lambda weight, move: weight - rates.learning * move, state.params, direction)
    return TrainingState(params, stats, optimizer_state), value
