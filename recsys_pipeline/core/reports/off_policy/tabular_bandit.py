"""Small bandits whose truth is a table, to try estimators on, and Simpson's paradox as one of them.

The paradox: a shop shows its popular title mostly to regulars, who click a lot on anything, and its niche title mostly
to newcomers, who hardly click. The niche title earns more from both, and yet more clicks per impression stand beside
the popular one. The figures are those of two treatments of kidney stones, small and large: Charig et al., "Comparison
of treatment of renal calculi", BMJ 1986; Julious and Mullee, "Confounding and Simpson's paradox", BMJ 1994.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.core.reports.off_policy.estimators import PolicyEstimate, PolicySample, estimate_policy

SEGMENTS = ("regulars", "newcomers")
TITLES = ("niche", "popular")
IMPRESSIONS = np.array([[87, 270], [263, 80]])
"""Of each title (columns) among each segment (rows), in the published study."""
CLICKS = np.array([[81, 234], [192, 55]])
_PRIOR = 1.0


@dataclass(frozen=True)
class TabularBandit:
    """Contexts with their shares; of each cell the logging policy's probability and the expected reward (of 0 or 1)."""

    share: Float64[np.ndarray, " contexts"]
    logging: Float64[np.ndarray, "contexts actions"]
    reward: Float64[np.ndarray, "contexts actions"]

    def __post_init__(self) -> None:
        if not (np.allclose(self.share.sum(), 1) and np.allclose(self.logging.sum(axis=1), 1)):
            raise SettingError("shares of contexts, and logging probabilities in each context, must sum to 1")

    def value(self, policy: Float64[np.ndarray, "contexts actions"]) -> float:
        """The truth: what a policy earns per decision."""
        return float((self.share[:, None] * policy * self.reward).sum())

    def log(self, n: int, seed: int) -> "TabularLog":
        """`n` decisions of the logging policy."""
        rng = np.random.default_rng(seed)
        context = rng.choice(len(self.share), n, p=self.share)
        drawn = rng.random((n, 1)) > np.cumsum(self.logging, axis=1)[context]
        action = np.minimum(drawn.sum(axis=1), self.logging.shape[1] - 1)
        reward = (rng.random(n) < self.reward[context, action]).astype(np.float64)
        return TabularLog(context, action, reward, self.logging[context, action], self.logging.shape)


@dataclass(frozen=True)
class TabularLog:
    """Logged decisions; each is its own user."""

    context: Int64[np.ndarray, " n"]
    action: Int64[np.ndarray, " n"]
    reward: Float64[np.ndarray, " n"]
    propensity: Float64[np.ndarray, " n"]
    shape: tuple[int, int]

    def sample(
        self,
        policy: Float64[np.ndarray, "contexts actions"],
        predicted: Float64[np.ndarray, "n actions"],
    ) -> PolicySample:
        """What the estimators need for a policy, with the predicted reward of each action in each row."""
        rows = np.arange(len(self.context))
        return PolicySample(
            reward=self.reward,
            propensity=self.propensity,
            target=policy[self.context, self.action],
            predicted=predicted[rows, self.action],
            expected=(policy[self.context] * predicted).sum(axis=1),
            cluster=rows,
        )

    def cross_fitted(self, n_folds: int, seed: int) -> Float64[np.ndarray, "n actions"]:
        """Each row's predicted reward of each action: the mean of its cell in the other folds, shrunk to the total."""
        fold = np.random.default_rng(seed).permutation(len(self.context)) % n_folds
        cell, size = self.context * self.shape[1] + self.action, self.shape[0] * self.shape[1]
        predicted = np.empty((len(self.context), self.shape[1]))
        for number in range(n_folds):
            others = fold != number
            counts = np.bincount(cell[others], minlength=size)
            sums = np.bincount(cell[others], self.reward[others], minlength=size)
            means = (sums + _PRIOR * self.reward[others].mean()) / (counts + _PRIOR)
            predicted[~others] = means.reshape(self.shape)[self.context[~others]]
        return predicted


def simpsons_paradox() -> TabularBandit:
    """The bandit of the published figures: users by segment, titles as they were shown, clicks as they came."""
    per_segment = IMPRESSIONS.sum(axis=1)
    return TabularBandit(
        share=per_segment / per_segment.sum(),
        logging=IMPRESSIONS / per_segment[:, None],
        reward=CLICKS / IMPRESSIONS,
    )


def always(action: int, shape: tuple[int, int]) -> Float64[np.ndarray, "contexts actions"]:
    """The policy that picks one action in every context."""
    policy = np.zeros(shape)
    policy[:, action] = 1.0
    return policy


def paradox_estimates(n: int, seed: int) -> list[PolicyEstimate]:
    """The policies `niche` and `popular` by every estimator, from `n` logged decisions, with their truth.

    >>> rows = {(row.policy, row.estimator): row for row in paradox_estimates(5_000, seed=0)}
    >>> [max(TITLES, key=lambda title: rows[title, name].value) for name in ("naive", "doubly_robust")]
    ['popular', 'niche']
    """
    bandit = simpsons_paradox()
    log = bandit.log(n, seed)
    predicted = log.cross_fitted(5, seed)
    policies: Mapping[str, np.ndarray] = {title: always(i, log.shape) for i, title in enumerate(TITLES)}
    return [
        row
        for title, policy in policies.items()
        for row in estimate_policy(title, log.sample(policy, predicted), truth=bandit.value(policy))
    ]
