"""Training of the towers: it learns, carries its statistics, repeats to the bit, and survives being killed."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_pipeline.core.errors import ModelError, SettingError
from recsys_pipeline.core.folds.triplets import LooksTrain
from recsys_pipeline.core.learning.looks.config import StlConfig
from recsys_pipeline.core.learning.looks.pixels import (
    augment,
    blank_boxes,
    blank_boxes_numpy,
    hue_rotation,
    normalise,
)
from recsys_pipeline.core.learning.looks.towers import space_to_depth
from recsys_pipeline.core.learning.looks.trained_towers import TrainedTowers
from recsys_pipeline.core.learning.looks.triplet_batches import BatchReader, TripletStream
from recsys_pipeline.core.learning.looks.triplet_training import colours_of, train_towers, trainer_of
from recsys_pipeline_tests.look_fixtures import look_data

TINY = StlConfig(
    embedding_size=4, widths=(4, 8), epochs=3, batch_size=16, learning_rate=0.01, colour=1.0, mining="given"
)
TRAIN = LooksTrain(look_data(), np.arange(90, dtype=np.int32), np.arange(90, 120, dtype=np.int32))


def leaves(towers: TrainedTowers) -> list[np.ndarray]:
    return jax.tree.leaves((towers.params, towers.batch_stats, towers.colours))


def assert_equal_to_the_bit(one: TrainedTowers, other: TrainedTowers) -> None:
    for a, b in zip(leaves(one), leaves(other), strict=True):
        np.testing.assert_array_equal(a, b, strict=True)


@pytest.fixture(scope="module")
def uninterrupted() -> TrainedTowers:
    return train_towers(TRAIN, TINY, seed=5)


class KilledError(Exception):
    """Stands for whatever ends a run in the middle."""


@pytest.mark.parametrize("fatal_epoch", [1, 2])
def test_resumes_to_the_same_bits_after_being_killed(
    tmp_path: Path, uninterrupted: TrainedTowers, fatal_epoch: int
) -> None:
    def kill(label: str, metrics: dict[str, float]) -> None:
        del label
        if metrics["epoch"] == fatal_epoch:
            raise KilledError

    with pytest.raises(KilledError):
        train_towers(TRAIN, TINY, 5, kill, checkpoint_dir=tmp_path, checkpoint_steps=4)
    told = []
    resumed = train_towers(TRAIN, TINY, 5, lambda label, _: told.append(label), tmp_path, checkpoint_steps=4)
    assert_equal_to_the_bit(resumed, uninterrupted)
    assert len(told) == TINY.epochs + 1 - fatal_epoch  # it went on from its checkpoint instead of starting again


def test_a_continued_training_resumes_to_the_same_bits_and_never_from_that_of_another_start(
    tmp_path: Path, uninterrupted: TrainedTowers
) -> None:
    def kill(label: str, metrics: dict[str, float]) -> None:
        del label, metrics
        raise KilledError

    config = replace(TINY, warm_epochs=2)
    undisturbed = train_towers(TRAIN, config, 5, start=uninterrupted)
    other = replace(uninterrupted, epochs=uninterrupted.epochs + 1)
    for start in (uninterrupted, other):
        with pytest.raises(KilledError):
            train_towers(TRAIN, config, 5, kill, tmp_path, checkpoint_steps=4, start=start)
    told = []
    resumed = train_towers(TRAIN, config, 5, lambda label, _: told.append(label), tmp_path, 4, uninterrupted)
    assert_equal_to_the_bit(resumed, undisturbed)
    assert len(told) == 2  # the rest of the first epoch, and the second


def test_a_finished_training_is_not_repeated(tmp_path: Path, uninterrupted: TrainedTowers) -> None:
    train_towers(TRAIN, TINY, 5, checkpoint_dir=tmp_path)
    told = []
    again = train_towers(TRAIN, TINY, 5, lambda label, _: told.append(label), tmp_path)
    assert told == []
    assert_equal_to_the_bit(again, uninterrupted)


def test_another_config_never_resumes_from_this_one(tmp_path: Path, uninterrupted: TrainedTowers) -> None:
    train_towers(TRAIN, replace(TINY, learning_rate=0.02), 5, checkpoint_dir=tmp_path)
    assert_equal_to_the_bit(train_towers(TRAIN, TINY, 5, checkpoint_dir=tmp_path), uninterrupted)


def test_batch_statistics_move_with_training(uninterrupted: TrainedTowers) -> None:
    means = [leaf for path, leaf in jax.tree.leaves_with_path(uninterrupted.batch_stats) if "mean" in str(path)]
    assert means
    assert all(np.abs(mean).max() > 0 for mean in means)


def test_validation_accuracy_is_told_and_rises() -> None:
    told: list[dict[str, float]] = []
    train_towers(TRAIN, replace(TINY, epochs=6), 0, lambda _, metrics: told.append(metrics))
    assert [row["epoch"] for row in told] == list(range(1, 7))
    assert told[-1]["loss"] < told[0]["loss"]
    # Half of all negatives are of the right brightness, so .75 is perfect up to chance among those.
    assert told[-1]["validation_accuracy"] > 0.65


@given(batch_size=st.integers(2, 40), n=st.integers(1, 23))
@settings(max_examples=15)
def test_steps_show_each_pair_once_per_epoch_whatever_the_batch_size(batch_size: int, n: int) -> None:
    train, config = LooksTrain(TRAIN.data, TRAIN.rows[:n], TRAIN.rows[:0]), replace(TINY, batch_size=batch_size)
    stream = TripletStream(train, config, 0)
    n_steps = -(-3 * n // stream.batch_size)
    looks = np.concatenate([stream.step(step).triplets.look for step in range(n_steps)])
    for epoch in range(3):
        assert sorted(looks[epoch * n : (epoch + 1) * n].tolist()) == list(range(n))


def test_a_step_does_not_depend_on_what_was_asked_before() -> None:
    config = replace(TINY, n_negatives=3)
    stream, fresh = (TripletStream(TRAIN, config, 0) for _ in range(2))
    for step in range(9):
        stream.step(step)
    np.testing.assert_array_equal(stream.step(8).negatives, fresh.step(8).negatives)


def test_more_negatives_change_neither_the_pairs_nor_the_first_negatives() -> None:
    few, many = (TripletStream(TRAIN, replace(TINY, n_negatives=n), 0).step(2) for n in (1, 3))
    np.testing.assert_array_equal(few.triplets.look, many.triplets.look)
    np.testing.assert_array_equal(few.negatives, many.negatives[:, :1])
    assert (many.negatives[:, 1:] != many.negatives[:, :1]).any()


@given(seed=st.integers(0, 200), n_negatives=st.integers(1, 3))
@settings(max_examples=15)
def test_drawn_negatives_are_compared_with_their_own_scene_alone(seed: int, n_negatives: int) -> None:
    reader = BatchReader(TRAIN, replace(TINY, n_negatives=n_negatives), seed)
    drawn, batch = reader.stream.step(seed), next(reader.batches(seed, seed + 1))
    products = np.concatenate([drawn.triplets.positive, drawn.negatives.ravel()])
    np.testing.assert_array_equal(batch.category, TRAIN.data.product_category[products])
    np.testing.assert_array_equal(batch.product, TRAIN.data.product_images[products])
    for row in range(16):
        assert products[batch.positive[row]].tolist() == [drawn.triplets.positive[row]]
        assert products[batch.negative[row]].tolist() == drawn.negatives[row].tolist()


@given(seed=st.integers(0, 200), negatives=st.sampled_from(["uniform", "same_category"]))
@settings(max_examples=15)
def test_in_a_batch_no_positive_of_a_scene_is_its_negative(seed: int, negatives: Any) -> None:
    data = TRAIN.data
    reader = BatchReader(TRAIN, replace(TINY, mining="in_batch", negatives=negatives), seed)
    triplets, batch = reader.stream.step(seed).triplets, next(reader.batches(seed, seed + 1))
    suits = {(int(scene), int(product)) for scene, product in zip(data.scene, data.product, strict=True)}
    assert len(batch.product) == 16
    for row, scene in enumerate(triplets.scene.tolist()):
        wanted = data.product_category[triplets.positive[row]]
        for column, product in enumerate(triplets.positive.tolist()):
            positive = (scene, product) in suits
            comparable = negatives == "uniform" or data.product_category[product] == wanted
            assert batch.positive[row, column] == positive
            assert batch.negative[row, column] == (comparable and not positive)


@given(seed=st.integers(0, 500))
@settings(max_examples=15)
def test_blanking_boxes_equals_its_twin(seed: int) -> None:
    rng = np.random.default_rng(seed)
    images = rng.integers(1, 256, (4, 12, 12, 3), np.uint8)
    low = rng.uniform(0, 0.6, (4, 2))
    box = np.concatenate([low, low + rng.uniform(0.01, 0.4, (4, 2))], axis=1).astype(np.float32)
    box[0] = np.nan
    mean, deviation = np.zeros(3, np.float32), np.ones(3, np.float32)
    fast = blank_boxes(normalise(jnp.asarray(images), jnp.asarray(mean), jnp.asarray(deviation), 1.0), jnp.asarray(box))
    np.testing.assert_array_equal(np.asarray(fast), blank_boxes_numpy(images, box, mean))
    np.testing.assert_array_equal(fast[0], images[0])


def test_without_colour_all_channels_are_the_same() -> None:
    images, mean = jnp.asarray(TRAIN.data.scene_images[:2]), jnp.array([10.0, 100.0, 200.0])
    grey, full = (normalise(images, mean, jnp.full(3, 50.0), colour) for colour in (0.0, 1.0))
    np.testing.assert_array_equal(grey[..., 0], grey[..., 2])
    np.testing.assert_allclose(full, (images - mean) / 50, atol=1e-6)
    np.testing.assert_allclose(grey[..., 0], full.mean(axis=-1), atol=1e-6)


def test_hue_rotation_keeps_grey_and_brightness() -> None:
    angle, saturation = jnp.array([0.0, 2.0, -3.0]), jnp.array([1.0, 1.0, 0.4])
    matrices = np.asarray(jax.jit(hue_rotation)(angle, saturation))
    np.testing.assert_allclose(matrices[0], np.eye(3), atol=1e-6)
    np.testing.assert_allclose(np.ones(3) @ matrices, np.ones((3, 3)), atol=1e-6)
    colour = np.array([0.9, -0.3, 0.2])
    np.testing.assert_allclose((colour @ matrices).sum(-1), np.full(3, 0.8), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(colour @ matrices[1]), np.linalg.norm(colour), rtol=1e-6)


def test_augmentation_without_jitter_only_mirrors_and_moves() -> None:
    pixels = np.asarray(jax.random.normal(jax.random.key(0), (24, 16, 16, 3)))
    changed = np.asarray(jax.jit(augment)(pixels, jax.random.key(1), 0.0))
    moves = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
    seen = set()
    for before, after in zip(pixels, changed, strict=True):
        variants = {
            (mirrored, move): np.roll(before[:, ::-1] if mirrored else before, move, axis=(0, 1))
            for mirrored in (False, True)
            for move in moves
        }
        found = [name for name, image in variants.items() if np.allclose(image, after, atol=1e-5)]
        assert len(found) == 1
        seen.add(found[0])
    assert {mirrored for mirrored, _ in seen} == {False, True}
    assert len(seen) > 6


def test_one_step_never_sees_the_product_in_its_scene() -> None:
    """Training blanks boxes too: other pixels under them change nothing."""
    data = TRAIN.data
    repainted = np.array(data.scene_images)
    repainted[:, :8, :8] = repainted[::-1, :8, :8]
    config = replace(TINY, epochs=1)
    losses: list[list[float]] = []
    for scenes in (data.scene_images, repainted):
        colours = colours_of(TRAIN, TINY)
        trainer = trainer_of(replace(TRAIN, data=replace(data, scene_images=scenes)), config, 0, colours)
        told: list[float] = []
        trainer.run(lambda _, metrics, told=told: told.append(metrics["loss"]))
        losses.append(told)
    assert losses[0] == losses[1]


def test_space_to_depth_keeps_each_patch_together() -> None:
    pixels = jnp.arange(4 * 4 * 2.0).reshape(1, 4, 4, 2)
    np.testing.assert_array_equal(space_to_depth(pixels, 2)[0, 1, 0], pixels[0, 2:, :2].reshape(-1))


def test_colours_come_from_training_rows_alone() -> None:
    data = TRAIN.data
    bright = np.array(data.scene_images)
    bright[data.scene[TRAIN.validation_rows]] = 255
    for one, other in zip(
        colours_of(TRAIN, TINY), colours_of(replace(TRAIN, data=replace(data, scene_images=bright)), TINY), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_impossible_requests_say_what_to_do() -> None:
    with pytest.raises(ModelError, match="no pairs to train on"):
        train_towers(replace(TRAIN, rows=TRAIN.rows[:0]), TINY, 0)
    with pytest.raises(ModelError, match=r"loss became.*lower learning_rate"):
        train_towers(TRAIN, replace(TINY, learning_rate=1e30), 0)
    with pytest.raises(ModelError, match="images of 15 pixels"):
        train_towers(replace(TRAIN, data=look_data(size=15)), TINY, 0)
    for wrong in ({"widths": ()}, {"epochs": 0}, {"batch_size": 1}, {"learning_rate": 0.0}, {"jitter": -1.0}):
        with pytest.raises(SettingError, match=next(iter(wrong))):
            replace(TINY, **wrong)
