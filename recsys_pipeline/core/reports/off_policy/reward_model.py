"""The reward model of the direct and doubly robust estimators: a logistic regression on a score and an item rate.

Small on purpose: the doubly robust estimate is right whatever it says, and three numbers cannot overfit. Rows weigh
1 / propensity, so that the fit is for all items and not for those that the log preferred. It is fitted on users other
than those it predicts (cross-fitting; Chernozhukov et al., "Double/debiased machine learning", 2018).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int32, Int64

from recsys_pipeline.core.errors import DataError, SettingError
from recsys_pipeline.core.reports.off_policy.click_metrics import examination_curve
from recsys_pipeline.core.reports.off_policy.logged_feedback import LoggedFeedback
from recsys_pipeline.core.reports.off_policy.target_policies import Scorer

_NEWTON_STEPS = 25
_RIDGE = 1.0
"""Penalty on the two slopes: one pseudo-observation, so that a fold without clicks has a finite fit."""
_PRIOR_LOOKS = 20.0
"""An item's click rate starts as that of all items, with the weight of so many looks."""


@dataclass(frozen=True)
class RewardModel:
    """P(click at the top | user, item) = sigmoid(intercept + slope · score + item term)."""

    scorer: Scorer
    intercept: float
    slope: float
    centre: float
    scale: float
    item_term: Float64[np.ndarray, " items"]

    def predict(
        self, users: Int32[np.ndarray, " n"], actions: Int32[np.ndarray, " actions"]
    ) -> Float64[np.ndarray, "n actions"]:
        """Expected reward of each action for each user."""
        scores = self.scorer.scores(users)[:, actions].astype(np.float64)
        logits = self.intercept + self.slope * (scores - self.centre) / self.scale
        return _sigmoid(logits + self.item_term[actions])


def fit_reward_model(feedback: LoggedFeedback, scorer: Scorer, n_items: int, batch_users: int = 512) -> RewardModel:
    """Fit on a log of all positions: items' rates from every position, the regression on the top one.

    Raises `DataError` without an impression at the top.
    """
    top = feedback.take(feedback.position == 0)
    if not len(top):
        raise DataError("no impression at position 0: the reward of the first place cannot be modelled")
    rate = _item_rates(feedback, n_items)
    score = scores_of_pairs(scorer, top.user, top.item, batch_users)
    centre, scale = float(score.mean()), float(score.std()) or 1.0
    features = np.column_stack([np.ones(len(top)), (score - centre) / scale, rate[top.item]])
    intercept, slope, rate_slope = _logistic(features, top.reward, 1 / top.propensity)
    return RewardModel(scorer, float(intercept), float(slope), centre, scale, rate_slope * rate)


def user_folds(users: Int32[np.ndarray, " n"], n_folds: int, seed: int) -> Int64[np.ndarray, " n"]:
    """The fold of each row: users are dealt out at random, so that no user is in two folds."""
    if n_folds < 2:
        raise SettingError(f"n_folds = {n_folds}: cross-fitting needs at least 2")
    known, at = np.unique(users, return_inverse=True)
    dealt = np.random.default_rng(seed).permutation(len(known)) % n_folds
    return dealt[at].astype(np.int64)


def scores_of_pairs(
    scorer: Scorer, users: Int32[np.ndarray, " n"], items: Int32[np.ndarray, " n"], batch_users: int = 512
) -> Float64[np.ndarray, " n"]:
    """The score of each (user, item) pair; at most `batch_users` × items scores are held at once."""
    known, at = np.unique(users, return_inverse=True)
    found = np.empty(len(users))
    for start in range(0, len(known), batch_users):
        rows = np.flatnonzero((at >= start) & (at < start + batch_users))
        found[rows] = scorer.scores(known[start : start + batch_users])[at[rows] - start, items[rows]]
    return found


def _item_rates(feedback: LoggedFeedback, n_items: int) -> Float64[np.ndarray, " items"]:
    """Log-odds of a click at the top per item, freed of the position and shrunk to the mean, less the mean's."""
    if not feedback.reward[feedback.position == 0].any():
        return np.zeros(n_items)
    weight = 1 / feedback.propensity
    weight = weight / weight.mean()
    looks_at, _ = examination_curve(feedback.item, feedback.position, feedback.reward, weight)
    looks = np.bincount(feedback.item, weight * looks_at[feedback.position], minlength=n_items)
    clicks = np.bincount(feedback.item, weight * feedback.reward, minlength=n_items)
    overall = min(float(clicks.sum() / looks.sum()), 0.99)
    rate = np.clip((clicks + _PRIOR_LOOKS * overall) / (looks + _PRIOR_LOOKS), 1e-4, 0.99)
    return _logit(rate) - _logit(np.array([overall]))


def _logistic(
    features: Float64[np.ndarray, "n k"], reward: Float64[np.ndarray, " n"], weight: Float64[np.ndarray, " n"]
) -> Float64[np.ndarray, " k"]:
    """Penalised weighted maximum likelihood by Newton's method; the constant, the first column, is not penalised.

    Where all rewards are equal it stays at the overall rate, kept finite by half a click and half a non-click.
    """
    weight = weight * weight.sum() / (weight**2).sum()  # sums to the effective rows, against which the penalty counts
    penalty = np.full(features.shape[1], _RIDGE)
    penalty[0] = 1e-6
    weights = np.zeros(features.shape[1])
    rate = (weight @ reward + 0.5) / (weight.sum() + 1)
    weights[0] = np.log(rate / (1 - rate))
    for _ in range(_NEWTON_STEPS if 0 < reward.mean() < 1 else 0):
        chance = _sigmoid(features @ weights)
        gradient = features.T @ (weight * (reward - chance)) - penalty * weights
        curvature = (features * (weight * chance * (1 - chance))[:, None]).T @ features + np.diag(penalty)
        step = np.linalg.solve(curvature, gradient)
        weights = weights + np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-9:
            break
    return weights


def _sigmoid(logit: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(logit, -30, 30)))


def _logit(chance: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    return np.log(chance / (1 - chance))
