"""What a model hands to the trainer: a network, a source of examples, a loss, and what is measured on validation."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from jax import Array
from jaxtyping import Float

from recsys_pipeline.core.learning.neural.networks import Network, Weights

Batch = TypeVar("Batch")
SomeBatch = TypeVar("SomeBatch", covariant=True)


@runtime_checkable
class ExampleSource(Protocol[SomeBatch]):
    """An endless stream of examples, epoch after epoch, cut into batches of one shape.

    A step's number alone decides its batch, whatever was asked for before: that is what lets a training resume to the
    bit. Where devices share a batch, the first axis of each of its arrays is a multiple of their number.
    """

    @property
    def n_examples(self) -> int:
        """Examples per epoch."""
        ...

    @property
    def batch_size(self) -> int:
        """Examples per step."""
        ...

    def batches(self, first: int, last: int) -> Iterator[SomeBatch]:
        """The batches of steps `first` to `last`, the last not included; trees of NumPy arrays."""
        ...


@runtime_checkable
class Loss(Protocol):
    """The number that training makes small.

    Hashable, because a step is compiled once per value of it: what changes from trial to trial belongs into `given`.
    """

    def __call__(self, module: Any, batch: Any, given: Any, key: Any, /) -> Float[Array, ""]:
        """The loss of a batch under a network in training mode; `key` is for dropout and the like."""
        ...


@runtime_checkable
class Vary(Protocol):
    """Makes of a batch as it was read what the loss sees: cropped, masked, scaled. Hashable, as a loss is.

    It runs on the device, in a program of its own: as a part of the step, XLA on the CPU computes it again in every
    layer that reads it (of 130 ms for a step on 128 images of 64×64, that was 60).
    """

    def __call__(self, batch: Any, given: Any, key: Any, /) -> Any:
        """The varied batch; `key` is of the step, and another than the loss has."""
        ...


@runtime_checkable
class Metrics(Protocol):
    """What validation says of some weights."""

    def __call__(self, weights: Weights, /) -> Mapping[str, float]:
        """Figures by name; none where there is nothing to validate on."""
        ...


def unvaried(batch: Any, given: Any, key: Any) -> Any:
    """The batch as it was read."""
    del given, key
    return batch


def unmeasured(weights: Weights) -> Mapping[str, float]:
    """The metrics of a training without validation: none."""
    del weights
    return {}


@dataclass(frozen=True)
class Task(Generic[Batch]):
    """What is trained, on what, towards what.

    `given` is a tree of arrays and numbers that the loss takes (a margin, a temperature): it is no part of what is
    compiled, so that all trials of a sweep over it share one compilation.
    """

    network: Network
    source: ExampleSource[Batch]
    loss: Loss
    given: Any = ()
    metrics: Metrics = unmeasured
    vary: Vary = unvaried
