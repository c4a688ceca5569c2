"""Several policies against one log: samples for the estimators, cross-fitted, and the truth where a source knows it.

The decision under study is the first place of a list, since there the logged propensity is the plain probability of
the item and the reward does not depend on anything above it. Time and memory: O(users × items) per policy, in batches
of `BATCH_CELLS`; the truth, where there is one, O(requests × items). Measured on 2 busy cores: 6,781 requests × 1,211
items, four policies with their truth, 3 s; 10,000 requests of 50,000 users × 20,000 items, four policies without, 40 s
and 117 MiB more.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from jaxtyping import Float, Int32, Int64, Num

from recsys_pipeline.core.configs import check_settings, setting
from recsys_pipeline.core.errors import DataError
from recsys_pipeline.core.reports.off_policy.estimators import (
    Contributions,
    PolicyEstimate,
    PolicySample,
    estimate_policy,
    interval_of,
)
from recsys_pipeline.core.reports.off_policy.logged_feedback import LoggedFeedback
from recsys_pipeline.core.reports.off_policy.reward_model import RewardModel, fit_reward_model, user_folds
from recsys_pipeline.core.reports.off_policy.target_policies import (
    EpsilonGreedyPolicy,
    PopularityPolicy,
    Scorer,
    SoftmaxPolicy,
    TargetPolicy,
    UniformPolicy,
)
from recsys_pipeline.core.time import EPOCH

BATCH_CELLS = 2_000_000
"""User × item cells held at once: 16 MB for each of a handful of arrays."""
LOGGED, OBSERVED = "as logged", "observed"
_HOUR_US = 3_600_000_000

Truth = Callable[[Int32[np.ndarray, " n"], Int32[np.ndarray, " actions"], datetime], Float[np.ndarray, "n actions"]]
"""`f(users, items, at)`: true expected reward of each item at the top of each user's list during the hour of `at`."""


@dataclass(frozen=True)
class OffPolicyConfig:
    """How policies are judged from the log."""

    temperature: float = setting(1.0, "Of the softmax policies, in standard deviations of a user's scores.", gt=0)
    epsilon: float = setting(0.2, "Share of requests in which the greedy policies pick any item.", ge=0, le=1)
    clip: float = setting(0.0, "Largest weight of clipped IPS; 0 takes the square root of the requests.", ge=0)
    n_folds: int = setting(5, "Folds of users for the cross-fitted reward model.", ge=2, le=50)
    max_requests: int = setting(10_000, "Requests studied: more are sampled down to these.", ge=2)
    n_resamples: int = setting(200, "Bootstrap resamples of users for the attention that positions get.", ge=1)

    __post_init__ = check_settings


def model_policies(
    name: str, model: Scorer, actions: Int32[np.ndarray, " actions"], config: OffPolicyConfig
) -> list[TargetPolicy]:
    """The two policies that follow a model's scores."""
    return [
        SoftmaxPolicy(actions, model, config.temperature, f"{name} softmax"),
        EpsilonGreedyPolicy(actions, model, config.epsilon, f"{name} greedy"),
    ]


def plain_policies(actions: Int32[np.ndarray, " actions"], count: Num[np.ndarray, " actions"]) -> list[TargetPolicy]:
    """The policies that know no user: any item, and, where anything has a `count`, items in proportion to it."""
    return [UniformPolicy(actions), *([PopularityPolicy(actions, count)] if count.any() else [])]


def evaluate_policies(
    feedback: LoggedFeedback,
    policies: Sequence[TargetPolicy],
    scorer: Scorer,
    n_items: int,
    config: OffPolicyConfig,
    seed: int,
    truth: Truth | None = None,
) -> list[PolicyEstimate]:
    """Every policy by every estimator, after what was logged itself (policy `as logged`, estimator `observed`).

    Policies and `scorer` must not have learned from this log: they would be flattered. `scorer` feeds the reward model
    (`reward_model.py`), which is cross-fitted over users. Raises `DataError` without an impression at position 0.
    """
    top = feedback.take(feedback.position == 0)
    if not len(top):
        raise DataError("the log has no impression at position 0 with a propensity: no policy can be judged")
    folds = user_folds(feedback.user, config.n_folds, seed)
    present = np.unique(folds)
    models = {int(f): fit_reward_model(feedback.take(folds != f), scorer, n_items) for f in present}
    truths = [math.nan] * len(policies) if truth is None else true_values(top, policies, truth)
    rows = [observed(top)]
    for policy, value in zip(policies, truths, strict=True):
        sample = policy_sample(top, policy, folds[feedback.position == 0], models)
        rows += estimate_policy(policy.name, sample, config.clip, value)
    return rows


def sampled_requests(feedback: LoggedFeedback, n: int, seed: int) -> LoggedFeedback:
    """All rows of `n` requests drawn without replacement; of all requests where there are no more."""
    requests = np.unique(feedback.request)
    if len(requests) <= n:
        return feedback
    drawn = np.random.default_rng(seed).choice(requests, n, replace=False)
    return feedback.take(np.isin(feedback.request, drawn))


def observed(top: LoggedFeedback) -> PolicyEstimate:
    """The mean reward of what was logged, with its interval over users."""
    weight, value = np.ones(len(top)), float(top.reward.mean())
    low, high = interval_of(Contributions(value, top.reward - value, weight), top.user.astype(np.int64))
    return PolicyEstimate(LOGGED, OBSERVED, value, low, high, len(top), float(len(top)), 1.0, 1.0, 0.0)


def policy_sample(
    top: LoggedFeedback, policy: TargetPolicy, folds: Int64[np.ndarray, " n"], models: dict[int, RewardModel]
) -> PolicySample:
    """Probabilities and predictions of one policy for each logged decision; `models[f]` did not learn from fold f."""
    n = len(top)
    target, predicted, expected = np.zeros((3, n))
    columns = _columns(policy.actions, int(top.item.max()) + 1)
    batch = max(1, BATCH_CELLS // len(policy.actions))
    for fold, model in models.items():
        for users, rows, at in _user_batches(top.user, np.flatnonzero(folds == fold), batch):
            chance, reward = policy.probabilities(users), model.predict(users, policy.actions)
            expected[rows] = (chance * reward).sum(axis=1)[at]
            column = columns[top.item[rows]]
            known = column >= 0  # other items the policy never picks: probability and prediction stay 0
            target[rows[known]] = chance[at[known], column[known]]
            predicted[rows[known]] = reward[at[known], column[known]]
    return PolicySample(top.reward, top.propensity, target, predicted, expected, top.user.astype(np.int64))


def true_values(top: LoggedFeedback, policies: Sequence[TargetPolicy], truth: Truth) -> list[float]:
    """What each policy would really have earned on these requests, in expectation: exact, given the requests.

    The truth is asked once per hour and batch for all policies that follow each other with one array of actions.
    """
    totals, hours = np.zeros(len(policies)), top.timestamp_us // _HOUR_US
    batch = max(1, BATCH_CELLS // max((len(policy.actions) for policy in policies), default=1))
    for hour in np.unique(hours):
        moment = EPOCH + timedelta(hours=int(hour))
        for users, _, at in _user_batches(top.user, np.flatnonzero(hours == hour), batch):
            asked, reward = None, np.empty(0)
            for number, policy in enumerate(policies):
                if policy.actions is not asked:
                    asked, reward = policy.actions, truth(users, policy.actions, moment)
                totals[number] += (policy.probabilities(users) * reward).sum(axis=1)[at].sum()
    return [float(total) / len(top) for total in totals]


def _user_batches(
    user: Int32[np.ndarray, " n"], rows: Int64[np.ndarray, " m"], batch: int
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """(distinct users, rows, place of each row's user among them), at most `batch` users at a time."""
    users, at = np.unique(user[rows], return_inverse=True)
    parts = []
    for start in range(0, len(users), batch):
        inside = (at >= start) & (at < start + batch)
        parts.append((users[start : start + batch], rows[inside], at[inside] - start))
    return parts


def _columns(actions: Int32[np.ndarray, " actions"], n_items: int) -> Int64[np.ndarray, " items"]:
    """The column of each item among the actions, −1 where it is none."""
    columns = np.full(max(n_items, int(actions.max()) + 1), -1)
    columns[actions] = np.arange(len(actions))
    return columns
