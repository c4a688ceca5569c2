"""Training on eight devices is training on one: the same steps, up to the order in which floats are added."""

import os
from pathlib import Path

import numpy as np

from recsys_pipeline_tests.processes import exit_code

N_DEVICES = 8


def train_on(n_devices: int, folder: Path) -> None:
    """Two trainings in a process with eight devices that share this machine's cores; their weights go to a file."""
    os.environ["XLA_FLAGS"] += f" --xla_force_host_platform_device_count={N_DEVICES}"
    import jax

    from recsys_pipeline.core.folds.triplets import LooksTrain
    from recsys_pipeline.core.learning.looks.config import StlConfig
    from recsys_pipeline.core.learning.looks.triplet_training import train_towers
    from recsys_pipeline_tests.look_fixtures import look_data

    assert len(jax.devices()) == N_DEVICES
    rows = np.arange(90, dtype=np.int32)
    for n in (1, n_devices):
        config = StlConfig(
            embedding_size=4, widths=(4,), shared=True, epochs=1, batch_size=16, n_devices=n,
            loss="softmax", mining="in_batch", negatives="uniform", temperature=0.5,
        )  # fmt: skip
        towers = train_towers(LooksTrain(look_data(), rows, rows[:0]), config, 5)
        flat = jax.tree.leaves_with_path((towers.params, towers.batch_stats))
        np.savez(folder / f"{n}.npz", **{str(number): leaf for number, (_, leaf) in enumerate(flat)})


def test_eight_devices_end_where_one_does(tmp_path: Path) -> None:
    """Batch norm is over the whole batch: two images per device alone would give other statistics."""
    assert exit_code(train_on, N_DEVICES, tmp_path) == 0
    one, eight = (np.load(tmp_path / f"{n}.npz") for n in (1, N_DEVICES))
    assert set(one) == set(eight)
    for name in one:
        np.testing.assert_allclose(eight[name], one[name], rtol=2e-3, atol=2e-4)
