"""Checkpoints come back to the bit; one that is torn is told of, and the one before it taken."""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recsys_pipeline.core.learning.neural.checkpoints import Checkpoints, name_of_training


class Moments(NamedTuple):
    """A tuple inside the tree."""

    mean: np.ndarray
    deviation: np.ndarray


MOMENTS = Moments(np.zeros(3, np.float32), np.ones(3, np.float32))


def state(count: int) -> dict[str, Any]:
    return {"moments": MOMENTS, "count": jnp.int32(count), "blocks": {0: jnp.full(300, count)}}


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


def test_a_training_is_named_by_all_its_facts_and_arrays() -> None:
    rows = np.arange(6)
    same = [name_of_training([{"epochs": 3}, 5], iter(part)) for part in ([rows], [rows.copy()])]
    assert same[0] == same[1]
    others = {
        name_of_training([{"epochs": 4}, 5], [rows]),
        name_of_training([{"epochs": 3}, 6], [rows]),
        name_of_training([{"epochs": 3}, 5], [rows[::-1]]),
        same[0],
    }
    assert len(others) == 4
