"""The trainer with a model that is not of towers: it learns, repeats and resumes to the bit, stops early, shards."""

import os
import signal
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

from recsys_pipeline.core.errors import ModelError
from recsys_pipeline.core.learning.neural.networks import Weights
from recsys_pipeline.core.learning.neural.stopping import Stopping
from recsys_pipeline.core.learning.neural.trainer import Saving, Trained, Trainer
from recsys_pipeline_tests.core.learning.neural.next_item import COURSE, Histories, Walks, start, task
from recsys_pipeline_tests.processes import exit_code

EVERY_STEPS = 4
PATIENT = replace(COURSE, epochs=40, stopping=Stopping("hit_rate", patience=3))


def assert_equal_to_the_bit(one: Weights, other: Weights) -> None:
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(a, b, strict=True)


@pytest.fixture(scope="module")
def uninterrupted() -> Trained:
    return Trainer(task(), COURSE, start()).run()


class KilledError(Exception):
    """Stands for whatever ends a run in the middle."""


class Fatal(Walks):
    """Walks whose batch of one step cannot be made."""

    fatal_step = 17

    def batches(self, first: int, last: int) -> Iterator[Histories]:
        for step, batch in enumerate(super().batches(first, last), first):
            if step == self.fatal_step:
                raise KilledError
            yield batch


def test_it_learns_what_comes_next() -> None:
    told: list[Mapping[str, float]] = []
    Trainer(task(), replace(COURSE, epochs=24), start()).run(lambda _, figures: told.append(figures))
    assert [row["epoch"] for row in told] == list(range(1, 25))
    assert told[-1]["loss"] < 0.5 * told[0]["loss"]
    assert told[-1]["hit_rate"] > 0.8  # chance is 1/12


def test_the_same_training_ends_with_the_same_bits_and_another_seed_with_others(uninterrupted: Trained) -> None:
    again = Trainer(task(), COURSE, start()).run()
    assert_equal_to_the_bit(again.weights, uninterrupted.weights)
    other = Trainer(task(), replace(COURSE, seed=4), start()).run()  # which decides on dropout alone
    assert (other.weights.params["table"]["embedding"] != again.weights.params["table"]["embedding"]).any()


def test_a_training_that_ends_between_steps_resumes_to_the_same_bits(tmp_path: Path, uninterrupted: Trained) -> None:
    with pytest.raises(KilledError):
        Trainer(task(source=Fatal(90, 16)), COURSE, start()).run(saving=Saving(tmp_path, EVERY_STEPS))
    asked: list[int] = []

    class Told(Walks):
        def batches(self, first: int, last: int) -> Iterator[Histories]:
            asked.append(first)
            return super().batches(first, last)

    resumed = Trainer(task(source=Told(90, 16)), COURSE, start()).run(saving=Saving(tmp_path, EVERY_STEPS))
    assert asked == [16]  # the newest multiple of 4 before step 17
    assert_equal_to_the_bit(resumed.weights, uninterrupted.weights)


def kill_between_steps(folder: Path) -> None:
    """Train, and die by SIGKILL while the batch of a step is made."""

    class Deadly(Walks):
        def batches(self, first: int, last: int) -> Iterator[Histories]:
            for step, batch in enumerate(super().batches(first, last), first):
                if step == 17:
                    os.kill(os.getpid(), signal.SIGKILL)
                yield batch

    Trainer(task(source=Deadly(90, 16)), COURSE, start()).run(saving=Saving(folder, EVERY_STEPS))


def test_a_process_that_is_killed_between_steps_resumes_to_the_same_bits(
    tmp_path: Path, uninterrupted: Trained
) -> None:
    assert exit_code(kill_between_steps, tmp_path) == -signal.SIGKILL
    resumed = Trainer(task(), COURSE, start()).run(saving=Saving(tmp_path, EVERY_STEPS))
    assert_equal_to_the_bit(resumed.weights, uninterrupted.weights)


def test_it_stops_early_and_keeps_the_best_epoch() -> None:
    told: list[Mapping[str, float]] = []
    trained = Trainer(task(), PATIENT, start()).run(lambda _, figures: told.append(figures))
    rates = [row["hit_rate"] for row in told]
    assert len(rates) == trained.epochs + 3 < 40
    assert trained.epochs == 1 + rates.index(max(rates))
    assert task().metrics(trained.weights)["hit_rate"] == max(rates)


def test_what_early_stopping_has_seen_survives_a_kill_and_a_stopped_training_is_not_gone_on_with(
    tmp_path: Path,
) -> None:
    whole = Trainer(task(), PATIENT, start()).run()
    deadly = Fatal(90, 16)
    deadly.fatal_step = (whole.epochs + 1) * 90 // 16  # behind the best epoch, before the end
    with pytest.raises(KilledError):
        Trainer(task(source=deadly), PATIENT, start()).run(saving=Saving(tmp_path, EVERY_STEPS))
    told: list[str] = []
    for _ in range(2):
        told.clear()
        resumed = Trainer(task(), PATIENT, start()).run(lambda label, _: told.append(label), Saving(tmp_path, 4))
        assert resumed.epochs == whole.epochs
        assert_equal_to_the_bit(resumed.weights, whole.weights)
    assert told == []


def test_early_stopping_by_what_nobody_measures_is_an_error() -> None:
    with pytest.raises(ModelError, match=r"watches 'auc', but validation tells hit_rate: give the training"):
        Trainer(task(), replace(PATIENT, stopping=Stopping("auc", 3)), start()).run()
    with pytest.raises(ModelError, match="no number of 'hit_rate'"):
        Trainer(task(metrics=lambda _: {"hit_rate": np.nan}), PATIENT, start()).run()


def test_mixed_precision_keeps_float32_weights_near_those_of_full_precision(uninterrupted: Trained) -> None:
    rough = Trainer(task("bfloat16"), COURSE, start()).run()
    for a, b in zip(jax.tree.leaves(rough.weights), jax.tree.leaves(uninterrupted.weights), strict=True):
        assert a.dtype == np.float32
        assert (a != b).any()
        assert np.abs(a - b).mean() < 0.05


def test_a_step_that_breaks_weights_or_loss_says_what_to_do() -> None:
    with pytest.raises(ModelError, match=r"(loss became|did not stay finite).*lower learning_rate=1e\+30"):
        Trainer(task(), replace(COURSE, learning_rate=1e30), start()).run()
    # The loss of a step is that before its update, so a finite loss does not vouch for the weights of the last.
    course = replace(COURSE, epochs=1, schedule=lambda step, n: np.inf if step == n - 1 else 1.0)
    trainer = Trainer(task(), course, start())
    with pytest.raises(ModelError, match="the weights did not stay finite"):
        trainer.run()


def train_on_devices(folder: Path) -> None:
    """The same training on one, two and eight devices that share this machine's cores."""
    os.environ["XLA_FLAGS"] += " --xla_force_host_platform_device_count=8"
    assert len(jax.devices()) == 8
    for n_devices in (1, 2, 8):
        trained = Trainer(task(), replace(COURSE, n_devices=n_devices), start()).run()
        np.savez(folder / f"{n_devices}.npz", *jax.tree.leaves(trained.weights))


def test_devices_that_share_batches_end_where_one_does(tmp_path: Path) -> None:
    """Not to the bit: sums over a batch are added in another order, and Adam's direction is steep near 0."""
    assert exit_code(train_on_devices, tmp_path) == 0
    one, two, eight = (np.load(tmp_path / f"{n}.npz") for n in (1, 2, 8))
    for name in one.files:
        for other in (two, eight):
            np.testing.assert_allclose(other[name], one[name], rtol=1e-3, atol=1e-4)
