"""The trainer takes the very steps of the plain loop: its readable twin, with everything in one place, to the bit."""

import math
from typing import Any

import jax
import numpy as np
import optax
from flax import nnx

from recsys_pipeline.core.folds.triplets import LooksTrain
from recsys_pipeline.core.learning.looks.compatibility import LookTowers, score_matrix
from recsys_pipeline.core.learning.looks.config import StlConfig
from recsys_pipeline.core.learning.looks.networks import init_towers
from recsys_pipeline.core.learning.looks.objectives import batch_loss
from recsys_pipeline.core.learning.looks.tower_loss import given_by, shown
from recsys_pipeline.core.learning.looks.triplet_batches import BatchReader
from recsys_pipeline.core.learning.looks.triplet_training import architecture_of, colours_of, train_towers
from recsys_pipeline.core.learning.neural.score_losses import soft_unit_norm
from recsys_pipeline.core.learning.neural.steps import varied
from recsys_pipeline_tests.look_fixtures import look_data

CONFIG = StlConfig(embedding_size=4, widths=(4,), epochs=2, batch_size=16, learning_rate=0.01, colour=1.0)
TRAIN = LooksTrain(look_data(), np.arange(90, dtype=np.int32), np.arange(90, 120, dtype=np.int32))


def plain_loop(train: LooksTrain, config: StlConfig, seed: int) -> Any:
    """Parameters and running statistics after all steps."""
    # An argument, as constants would be compiled in and rounded in another order.
    given = given_by(config, colours_of(train, config))
    adam = optax.scale_by_adam()
    architecture = architecture_of(train, config)
    graph = nnx.graphdef(nnx.eval_shape(lambda: LookTowers(architecture, jax.random.key(0))))
    params, statistics = init_towers(architecture, seed)
    moments = adam.init(params)

    @jax.jit
    def step(params: Any, statistics: Any, moments: Any, batch: Any, rate: Any, given: Any) -> Any:
        margin, temperature, reg, *_ = given

        def objective(params: Any) -> Any:
            towers = nnx.merge(graph, nnx.State(params), nnx.State(statistics))
            scene, product = towers.both(batch.scene, batch.product, batch.category)
            scores = score_matrix(scene, product, batch.category)
            masks = batch.positive, batch.negative
            value = batch_loss(config.loss, config.mining, scores, *masks, margin, temperature)
            views = soft_unit_norm(scene.reshape(-1, scene.shape[-1])).sum() / scene.shape[1]
            norms = (views + soft_unit_norm(product).sum()) / len(scene)
            return value + reg * norms, nnx.to_pure_dict(nnx.state(towers, nnx.BatchStat))

        (loss, statistics), gradient = jax.value_and_grad(objective, has_aux=True)(params)
        direction, moments = adam.update(gradient, moments, params)
        return jax.tree.map(lambda weight, move: weight - rate * move, params, direction), statistics, moments, loss

    reader = BatchReader(train, config, seed)
    n_steps = math.ceil(config.epochs * len(train.rows) / reader.batch_size)
    for number, batch in enumerate(reader.batches(0, n_steps)):
        rate = config.learning_rate * (1 + math.cos(math.pi * number / n_steps)) / 2
        key = jax.random.fold_in(jax.random.key(seed), number)
        batch = varied(shown, batch, given, key)
        params, statistics, moments, _ = step(params, statistics, moments, batch, rate, given)
    return params, statistics


def test_the_trainer_ends_where_the_plain_loop_does() -> None:
    towers = train_towers(TRAIN, CONFIG, 5)
    expected = plain_loop(TRAIN, CONFIG, 5)
    found = (towers.params, towers.batch_stats)
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for (path, one), other in zip(jax.tree.leaves_with_path(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(one, other, err_msg=str(path))
