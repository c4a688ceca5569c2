"""The loop: steps in their order, figures after each epoch, checkpoints, early stopping; the same bits every time."""

from collections.abc import Iterator, Mapping
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NamedTuple

import jax
import numpy as np
import optax

from recsys_pipeline.core.errors import ModelError
from recsys_pipeline.core.learning.neural.checkpoints import Checkpoints
from recsys_pipeline.core.learning.neural.networks import Weights
from recsys_pipeline.core.learning.neural.prefetch import prefetched
from recsys_pipeline.core.learning.neural.protocols import Batch, Task, unvaried
from recsys_pipeline.core.learning.neural.schedules import Schedule, cosine
from recsys_pipeline.core.learning.neural.sharding import Placement
from recsys_pipeline.core.learning.neural.steps import ADAM, TrainingState, update, varied
from recsys_pipeline.core.learning.neural.stopping import Best, Stopping, better_of, is_over, nothing_yet
from recsys_pipeline.core.progress import Progress

NO_STEP = 2**32 - 1
"""The number of a step that no training takes: what follows from it is no key of a step."""


@dataclass(frozen=True)
class Course:
    """How long a training goes on, how fast it learns, when it stops early, and on how many devices.

    A step's key follows from `seed` and the step's number. `optimizer` gives a direction, and the step goes against it
    by the learning rate; compiled steps are found again by it, so keep one per setting.
    """

    epochs: int
    learning_rate: float
    seed: int
    schedule: Schedule = cosine
    optimizer: optax.GradientTransformation = ADAM
    stopping: Stopping | None = None
    n_devices: int = 1


class Saving(NamedTuple):
    """Where checkpoints of one training lie, and after how many steps one is written; the last step always writes."""

    directory: Path
    every_steps: int = 200


class Trained(NamedTuple):
    """The weights that training ended with, or with early stopping the best ones, and the epochs that made them."""

    weights: Weights
    epochs: int


class Trainer(Generic[Batch]):
    """One training. The step number alone says which batch comes next and which key varies it."""

    def __init__(self, task: Task[Batch], course: Course, start: Weights) -> None:
        self.task, self.course = task, course
        self.placement = Placement(course.n_devices)
        source = task.source
        self.n_steps = -(-course.epochs * source.n_examples // source.batch_size)
        self.waits_s: list[float] = []
        """Per step, how long it stood still for its batch."""
        self._loss_key = jax.random.fold_in(jax.random.key(course.seed), NO_STEP)
        self.state = self.placement.state(TrainingState(*start, course.optimizer.init(start.params)))
        self.best = nothing_yet(course.stopping, self.state.weights) if course.stopping else None

    def run(self, progress: Progress | None = None, saving: Saving | None = None) -> Trained:
        """Train to the end, from the newest checkpoint where there is one, and tell each epoch's figures.

        Raises:
            ModelError: The loss or a weight stopped being finite, or early stopping watches what nobody measures.
        """
        with Checkpoints(saving.directory) if saving else nullcontext() as checkpoints:
            first = self._resumed(checkpoints) if checkpoints else 0
            for step in self._steps(first, progress):
                if saving and checkpoints and (self._is_last(step) or step % saving.every_steps == 0):
                    checkpoints.save(step, self._saved())
        return self._trained()

    def learning_rate(self, step: int) -> float:
        """That of a step."""
        return self.course.learning_rate * self.course.schedule(step, self.n_steps)

    def _steps(self, first: int, progress: Progress | None) -> Iterator[int]:
        """Take the steps from `first` on; yields the number of steps taken, after each."""
        if self._is_last(first):
            return
        losses = []
        with closing(prefetched(self._batches(first), self.waits_s)) as batches:
            for step, batch in enumerate(batches, first):
                losses.append(self._take(step, batch))
                if self._ends_epoch(step + 1):
                    self._end_epoch(self.epoch_at(step + 1), losses, progress)
                    losses = []
                yield step + 1
                if self._is_last(step + 1):
                    return

    def _batches(self, first: int) -> Iterator[Any]:
        """On their devices, as the loss sees them."""
        task, key = self.task, jax.random.key(self.course.seed)
        for step, batch in enumerate(task.source.batches(first, self.n_steps), first):
            placed = self.placement.batch(batch)
            yield (
                placed
                if task.vary is unvaried
                else varied(task.vary, placed, task.given, jax.random.fold_in(key, step))
            )

    def _take(self, step: int, batch: Any) -> jax.Array:
        task, course = self.task, self.course
        key = jax.random.fold_in(self._loss_key, step)
        self.state, loss = update(
            task.network, task.loss, course.optimizer, self.state, self.learning_rate(step), task.given, batch, key
        )
        return loss

    def epoch_at(self, step: int) -> int:
        """Whole epochs behind a training of so many steps."""
        return min(step * self.task.source.batch_size // self.task.source.n_examples, self.course.epochs)

    def _ends_epoch(self, step: int) -> bool:
        return step == self.n_steps or self.epoch_at(step) > self.epoch_at(step - 1)

    def _is_last(self, step: int) -> bool:
        stopped = self.best and self.course.stopping and is_over(self.course.stopping, self.best, self.epoch_at(step))
        return step >= self.n_steps or bool(stopped)

    def _end_epoch(self, epoch: int, losses: list[jax.Array], progress: Progress | None) -> None:
        """Tell the mean loss of the epoch (once resumed, of its rest) and what validation says, and keep the best."""
        loss = float(np.mean(jax.device_get(losses)))
        if not np.isfinite(loss):
            raise ModelError(
                f"the loss became {loss} in epoch {epoch}: lower learning_rate={self.course.learning_rate}"
            )
        if progress is None and self.best is None:
            return
        measured = self.task.metrics(self.state.weights)
        if self.best and self.course.stopping:
            self.best = better_of(self.course.stopping, self.best, epoch, measured, self.state.weights)
        if progress is not None:
            progress(f"epoch {epoch}/{self.course.epochs}", {"epoch": epoch, "loss": loss, **measured})

    def _saved(self) -> Mapping[str, Any]:
        return {"state": self.state} | ({"best": self.best} if self.best else {})

    def _resumed(self, checkpoints: Checkpoints) -> int:
        """The step to go on from, the state being that of the newest checkpoint; 0 where there is none."""
        newest = checkpoints.newest(self._saved())
        if newest is None:
            return 0
        step, saved = newest
        self.state = saved["state"]
        self.best = Best(*saved["best"]) if self.best else None
        return step

    def _trained(self) -> Trained:
        weights = self.best.weights if self.best else self.state.weights
        epochs = int(self.best.epoch) if self.best else self.course.epochs
        if epochs == 0 and self.course.stopping:
            raise ModelError(f"early stopping saw no number of {self.course.stopping.metric!r} in any epoch")
        weights = jax.tree.map(np.asarray, weights)
        if not all(np.isfinite(array).all() for array in jax.tree.leaves(weights)):
            raise ModelError(f"the weights did not stay finite: lower learning_rate={self.course.learning_rate}")
        return Trained(weights, epochs)
