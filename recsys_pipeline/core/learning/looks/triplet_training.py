"""Training of the towers: what the trainer is given for looks, and what is kept of what it returns."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jax
import numpy as np

from recsys_pipeline.core.errors import ModelError
from recsys_pipeline.core.folds.triplets import LooksTrain
from recsys_pipeline.core.learning.looks.config import StlConfig
from recsys_pipeline.core.learning.looks.networks import init_towers, network
from recsys_pipeline.core.learning.looks.pixels import Colours, measure_colours
from recsys_pipeline.core.learning.looks.tower_loss import TowerLoss, given_by, shown
from recsys_pipeline.core.learning.looks.towers import Architecture, discover_towers
from recsys_pipeline.core.learning.looks.trained_towers import TrainedTowers, carried_over, draws_seed
from recsys_pipeline.core.learning.looks.triplet_batches import Batch, BatchReader
from recsys_pipeline.core.learning.looks.watched_pairs import WatchedPairs
from recsys_pipeline.core.learning.neural.checkpoints import name_of_training
from recsys_pipeline.core.learning.neural.networks import Weights
from recsys_pipeline.core.learning.neural.protocols import Task
from recsys_pipeline.core.learning.neural.trainer import Course, Saving, Trainer
from recsys_pipeline.core.progress import Progress


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
    trainer = trainer_of(train, config, seed, colours, start)
    name = checkpoint_dir and name_of_training(*_identity(train, config, seed, colours, start))
    saving = Saving(checkpoint_dir / name, checkpoint_steps) if checkpoint_dir and name else None
    trained = trainer.run(progress, saving)
    return _kept(train, colours, trained.weights, trained.epochs + (start.epochs if start else 0))


def untrained_towers(train: LooksTrain, config: StlConfig, seed: int) -> TrainedTowers:
    """The weights from which `train_towers` starts: the baseline that says what training is worth."""
    weights = init_towers(architecture_of(train, config), seed, config.backbone_weights)
    return _kept(train, colours_of(train, config), jax.tree.map(np.asarray, weights), epochs=0)


def trainer_of(
    train: LooksTrain, config: StlConfig, seed: int, colours: Colours, start: TrainedTowers | None = None
) -> Trainer[Batch]:
    """The trainer of these towers, before its first step."""
    architecture, course = architecture_of(train, config), course_of(config, seed, start)
    weights = init_towers(architecture, seed, config.backbone_weights)
    if start:
        weights = Weights(*carried_over(start, *weights, train.data.categories, train.data.scene_images.shape[1]))
    task = Task(
        network(architecture, training=True),
        BatchReader(train, config, course.seed),
        TowerLoss(config.loss, config.mining, config.precision),
        given_by(config, colours),
        WatchedPairs(train, config, seed, colours),
        shown,
    )
    return Trainer(task, course, weights)


def course_of(config: StlConfig, seed: int, start: TrainedTowers | None = None) -> Course:
    """That of a fresh training, or of one that goes on: shorter, gentler, and with other draws than those before it."""
    if start is None:
        return Course(config.epochs, config.learning_rate, seed, n_devices=config.n_devices)
    draws = draws_seed(seed, start)
    return Course(config.warm_epochs, config.warm_learning_rate, draws, n_devices=config.n_devices)


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


def _kept(train: LooksTrain, colours: Colours, weights: Weights, epochs: int) -> TrainedTowers:
    size, categories = train.data.scene_images.shape[1], tuple(train.data.categories)
    return TrainedTowers(*weights, colours, size, categories, epochs)


def _identity(
    train: LooksTrain, config: StlConfig, seed: int, colours: Colours, start: TrainedTowers | None
) -> tuple[list[Any], Iterator[Any]]:
    """Facts and arrays that tell one training from another: anything that changes its weights."""
    data = train.data
    facts = [asdict(config), seed, data.product_ids, data.categories]
    arrays = [train.rows, train.held_out, data.scene, data.product, data.box, data.product_category, *colours]
    arrays += jax.tree.leaves((start.params, start.batch_stats, start.epochs)) if start else []
    if config.backbone_weights:
        arrays.append(np.frombuffer(Path(config.backbone_weights).read_bytes(), np.uint8))
    return facts, iter(arrays)
