"""A training of towers that is killed at any moment ends with the weights of one that was not."""

import random
import signal
from pathlib import Path

import jax
import numpy as np

from recsys_pipeline.core.folds.triplets import LooksTrain
from recsys_pipeline.core.learning.looks.config import StlConfig
from recsys_pipeline.core.learning.looks.triplet_training import train_towers
from recsys_pipeline_tests.look_fixtures import look_data
from recsys_pipeline_tests.processes import die_before_touch, exit_code

CONFIG = StlConfig(embedding_size=4, widths=(4,), epochs=3, batch_size=16, learning_rate=0.01, colour=1.0)
CHECKPOINT_STEPS, KILLS = 4, 4


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
