"""Policies that might choose the first place of a list: each gives probabilities over a fixed set of items."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Float64, Int32, Num

from recsys_pipeline.core.errors import SettingError


@runtime_checkable
class Scorer(Protocol):
    """What a policy needs of a model."""

    def scores(self, users: Int32[np.ndarray, " batch"]) -> Float32[np.ndarray, "batch items"]:
        """One score per item for each user; higher is better."""
        ...


@runtime_checkable
class TargetPolicy(Protocol):
    """A policy under evaluation: `actions` are the items that it may choose, and the columns of its probabilities."""

    @property
    def name(self) -> str:
        """What reports call it."""
        ...

    @property
    def actions(self) -> Int32[np.ndarray, " actions"]:
        """Item numbers, each once."""
        ...

    def probabilities(self, users: Int32[np.ndarray, " n"]) -> Float64[np.ndarray, "n actions"]:
        """Probability of each action for each user; rows sum to 1."""
        ...


@dataclass(frozen=True)
class UniformPolicy:
    """Every item with the same probability: the floor that anything must beat."""

    actions: Int32[np.ndarray, " actions"]
    name: str = "uniform"

    def __post_init__(self) -> None:
        _check_actions(self.actions, self.name)

    def probabilities(self, users: Int32[np.ndarray, " n"]) -> Float64[np.ndarray, "n actions"]:
        """1 / actions everywhere."""
        return np.full((len(users), len(self.actions)), 1 / len(self.actions))


@dataclass(frozen=True)
class PopularityPolicy:
    """Items in proportion to (count + 1)^power, the same for everyone: softmax of power × log popularity."""

    actions: Int32[np.ndarray, " actions"]
    count: Num[np.ndarray, " actions"]
    power: float = 1.0
    name: str = "popularity"

    def __post_init__(self) -> None:
        _check_actions(self.actions, self.name)

    def probabilities(self, users: Int32[np.ndarray, " n"]) -> Float64[np.ndarray, "n actions"]:
        """One row, repeated."""
        odds = (self.count.astype(np.float64) + 1) ** self.power
        return np.tile(odds / odds.sum(), (len(users), 1))


@dataclass(frozen=True)
class SoftmaxPolicy:
    """Softmax of a model's scores, which are standardised per user so that `temperature` needs no scale.

    At temperature 1 a score one standard deviation higher is e times as likely.
    """

    actions: Int32[np.ndarray, " actions"]
    model: Scorer
    temperature: float = 1.0
    name: str = "softmax"

    def __post_init__(self) -> None:
        _check_actions(self.actions, self.name)
        if self.temperature <= 0:
            raise SettingError(f"temperature of policy {self.name!r} is {self.temperature}: it must be above 0")

    def probabilities(self, users: Int32[np.ndarray, " n"]) -> Float64[np.ndarray, "n actions"]:
        """Softmax of standardised scores; a user with equal scores gets the uniform policy."""
        scores = self.model.scores(users)[:, self.actions].astype(np.float64)
        spread = scores.std(axis=1, keepdims=True)
        logits = (scores - scores.max(axis=1, keepdims=True)) / np.where(spread > 0, spread, 1.0) / self.temperature
        odds = np.exp(logits)
        return odds / odds.sum(axis=1, keepdims=True)


@dataclass(frozen=True)
class EpsilonGreedyPolicy:
    """The model's best item, but any item with probability epsilon. Equal scores go to the first action."""

    actions: Int32[np.ndarray, " actions"]
    model: Scorer
    epsilon: float = 0.2
    name: str = "greedy"

    def __post_init__(self) -> None:
        _check_actions(self.actions, self.name)
        if not 0 <= self.epsilon <= 1:
            raise SettingError(f"epsilon of policy {self.name!r} is {self.epsilon}: it must lie in [0, 1]")

    def probabilities(self, users: Int32[np.ndarray, " n"]) -> Float64[np.ndarray, "n actions"]:
        """epsilon / actions everywhere, and the rest on the best."""
        best = self.model.scores(users)[:, self.actions].argmax(axis=1)
        chances = np.full((len(users), len(self.actions)), self.epsilon / len(self.actions))
        chances[np.arange(len(users)), best] += 1 - self.epsilon
        return chances


def _check_actions(actions: Int32[np.ndarray, " actions"], name: str) -> None:
    if not len(actions) or len(np.unique(actions)) != len(actions):
        raise SettingError(f"policy {name!r} has {len(actions)} actions: give at least one item, each once")
