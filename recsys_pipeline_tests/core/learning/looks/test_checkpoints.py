"""Checkpoints come back to the bit; a training killed at any moment ends with the weights of one that was not."""

import random
import signal
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recsys_pipeline.core.folds.triplets import LooksTrain
from recsys_pipeline.core.learning.looks.checkpoints import Checkpoints
from recsys_pipeline.core.learning.looks.config import StlConfig
from recsys_pipeline.core.learning.looks.pixels import Colours
from recsys_pipeline.core.learning.looks.triplet_training import train_towers
from recsys_pipeline_tests.look_fixtures import look_data
from recsys_pipeline_tests.processes import die_before_touch, exit_code

COLOURS = Colours(*(np.full(3, value, np.float32) for value in range(4)))
CONFIG = StlConfig(embedding_size=4, widths=(4,), epochs=3, batch_size=16, learning_rate=0.01, colour=1.0)
CHECKPOINT_STEPS, KILLS = 4, 4


def state(count: int) -> dict[str, Any]:
    return {"colours": COLOURS, "count": jnp.int32(count), "blocks": {0: jnp.full(300, count)}}


def save(folder: Path, *steps: int) -> None:
    with Checkpoints(folder) as checkpoints:
        for step in steps:
            checkpoints.save(step, state(step))


def test_the_newest_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.newest(state(0)) is None
    save(tmp_path, 3, 4, 7)
    with Checkpoints(tmp_path) as checkpoints:
        newest = checkpoints.newest(state(0))
    assert newest is not None
    assert newest[0] == 7
    for restored, saved in zip(jax.tree.leaves(newest[1]), jax.tree.leaves(state(7)), strict=True):
        np.testing.assert_array_equal(restored, saved, strict=True)


@pytest.mark.parametrize("damage", ["empty", "gone"])
def test_a_torn_checkpoint_is_told_of_and_the_one_before_it_taken(tmp_path: Path, damage: str) -> None:
    save(tmp_path, 3, 4)
    for path in list((tmp_path / "4").rglob("*/d/*")):  # wherever arrays are kept: not every copy is read
        path.write_bytes(b"") if damage == "empty" else path.unlink()
    with Checkpoints(tmp_path) as checkpoints:
        with pytest.warns(UserWarning, match=r"checkpoint .*/4 cannot be read and is deleted"):
            newest = checkpoints.newest(state(0))
        assert newest is not None
        assert newest[0] == 3
        assert int(newest[1]["count"]) == 3
        checkpoints.save(4, state(4))  # the place of the torn one is free again
        assert checkpoints.newest(state(0)) is not None


def train_until(home: Path, last_touch: int, name: str) -> None:
    """Train with checkpoints, and die by SIGKILL just before they are touched that many times; else write weights."""
    # Compiled once for all processes of the test: the step takes longer to compile than to train.
    jax.config.update("jax_compilation_cache_dir", str(home / "compiled"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    touches = die_before_touch(last_touch, home / name)
    rows = LooksTrain(look_data(), np.arange(90, dtype=np.int32), np.arange(90, 120, dtype=np.int32))
    towers = train_towers(rows, CONFIG, 5, checkpoint_dir=home / name, checkpoint_steps=CHECKPOINT_STEPS)
    np.savez(home / f"{name}.npz", *jax.tree.leaves((towers.params, towers.batch_stats)), touches=touches())


def test_a_training_that_is_killed_again_and_again_ends_with_the_same_bits(tmp_path: Path) -> None:
    assert exit_code(train_until, tmp_path, 0, "undisturbed") == 0
    undisturbed = np.load(tmp_path / "undisturbed.npz")
    rng, while_writing = random.Random(0), 0
    for _ in range(KILLS):
        # One of KILLS + 1 parts of what a whole training touches, so that something is left to do after the last kill.
        last_touch = rng.randrange(1, int(undisturbed["touches"]) // (KILLS + 1))
        assert exit_code(train_until, tmp_path, last_touch, "disturbed") == -signal.SIGKILL
        while_writing += any((tmp_path / "disturbed").rglob("*orbax-checkpoint-tmp*"))
    assert while_writing, "no kill came while a checkpoint was being written: choose another seed"
    assert exit_code(train_until, tmp_path, 0, "disturbed") == 0
    disturbed = np.load(tmp_path / "disturbed.npz")
    for name in undisturbed.files:
        if name != "touches":
            np.testing.assert_array_equal(disturbed[name], undisturbed[name], strict=True)
