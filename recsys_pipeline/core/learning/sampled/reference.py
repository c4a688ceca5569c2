"""The readable NumPy twin of one step on one example: every derivative written out, float64, one pair at a time.

Far too slow for real data; tests hold the kernel and the batches equal to it.
"""

from dataclasses import dataclass
from math import exp, log

import numpy as np

from recsys_pipeline.core.learning.sampled.problem import Factors, Problem
from recsys_pipeline.core.learning.sampled.settings import SampledMfConfig


@dataclass
class Reference:
    """Factors and biases, stepped in place by plain descent."""

    users: np.ndarray
    user_bias: np.ndarray
    items: np.ndarray
    item_bias: np.ndarray

    @classmethod
    def of(cls, factors: Factors) -> "Reference":
        """A float64 copy."""
        return cls(*(array.astype(np.float64) for table in factors for array in table))

    def step(
        self, problem: Problem, config: SampledMfConfig, user: int, item: int, value: float, negatives: list[int]
    ) -> float:
        """Move the user, the item and the negatives against their gradients; returns the loss before."""
        candidates = [item, *(j for j in negatives if j >= 0)]
        u, v = self.users[user].copy(), self.items[candidates].copy()
        scores = problem.facts.offset + v @ u
        if config.use_biases:
            scores = scores + self.user_bias[user] + self.item_bias[candidates]
        loss, slope, used = derivatives(config, problem, scores, candidates, value)
        rate = config.learning_rate
        user_gradient = slope @ v + used.sum() * problem.user_reg[user] * u
        user_bias_gradient = slope.sum() + used.sum() * problem.user_reg[user] * self.user_bias[user]
        item_gradient, bias_gradient = np.zeros_like(self.items), np.zeros_like(self.item_bias)
        for k, j in enumerate(candidates):  # a negative that was drawn twice adds twice
            item_gradient[j] += slope[k] * u + used[k] * problem.item_reg[j] * v[k]
            bias_gradient[j] += slope[k] + used[k] * problem.item_reg[j] * self.item_bias[j]
        self.users[user] -= rate * user_gradient
        self.items -= rate * item_gradient
        if config.use_biases:
            self.user_bias[user] -= rate * user_bias_gradient
            self.item_bias -= rate * bias_gradient
        return loss


def derivatives(
    config: SampledMfConfig, problem: Problem, scores: np.ndarray, candidates: list[int], value: float
) -> tuple[float, np.ndarray, np.ndarray]:
    """The loss of one example, its derivative by each score, and 1 for each pair used; the positive is first."""
    positive, negatives, everything = scores[0], scores[1:], np.ones(len(scores))
    if config.loss == "logistic":
        loss = -log(sigmoid(positive)) - sum(log(sigmoid(-s)) for s in negatives)
        return loss, np.array([sigmoid(positive) - 1, *(sigmoid(s) for s in negatives)]), everything
    if config.loss == "bpr":
        share = [sigmoid(s - positive) for s in negatives]
        return -sum(log(sigmoid(positive - s)) for s in negatives), np.array([-sum(share), *share]), everything
    if config.loss == "softmax":
        z = scores / config.temperature - np.array([0.0, *problem.log_q[candidates[1:]]])
        share = np.exp(z) / np.exp(z).sum()
        slope = (share - np.eye(len(z))[0]) / config.temperature
        return -log(share[0]), slope, everything
    if config.loss == "warp":
        return _warp(problem, scores)
    return _squared(config, problem, scores, value)


def _warp(problem: Problem, scores: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    slope, n_items = np.zeros(len(scores)), len(problem.rank_weight)
    for trial in range(1, len(scores)):
        if scores[trial] > scores[0] - 1:
            rank = max((n_items - 1) // trial, 1)
            weight = sum(1 / t for t in range(1, rank + 1))
            slope[0], slope[trial] = -weight, weight
            return weight * (1 - scores[0] + scores[trial]), slope, (slope != 0).astype(float)
    return 0.0, slope, slope


def _squared(
    config: SampledMfConfig, problem: Problem, scores: np.ndarray, value: float
) -> tuple[float, np.ndarray, np.ndarray]:
    predicted, inner = scores[0], 1.0
    if config.head == "sigmoid":
        low, width = problem.facts.low, problem.facts.high - problem.facts.low
        share = sigmoid(scores[0])
        predicted, inner = low + width * share, width * share * (1 - share)
    loss = ((predicted - value) ** 2 + (scores[1:] ** 2).sum()) / 2
    return loss, np.array([(predicted - value) * inner, *scores[1:]]), np.ones(len(scores))


def sigmoid(x: float) -> float:
    """`1 / (1 + e^−x)`."""
    return 1 / (1 + exp(-x))
