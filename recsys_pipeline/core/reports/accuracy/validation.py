"""The few figures that a sweep is steered by, and the same user by user, by which its best trial is compared."""

import math

import numpy as np

from recsys_pipeline.core.errors import ModelError
from recsys_pipeline.core.learning.sweeps.baseline import Units
from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline.core.recommenders import Scorer
from recsys_pipeline.core.reports.accuracy.ranking import evaluate_ranking

VALIDATION_K = 10
RANKED = {f"{metric}@{VALIDATION_K}": metric for metric in ("ndcg", "recall")}
RMSE = "rmse"
UNIT_METRICS = (*RANKED, RMSE)
"""Those that single users have."""


def validation_metrics(model: Scorer, train: Ratings, validation: Ratings) -> dict[str, float]:
    """`ndcg@10` and `recall@10` over all unseen items; where the model predicts values `rmse` over all validation rows,
    and `coverage`, the share of them whose user and item it has learned of."""
    result = evaluate_ranking(model, train, validation, ks=(VALIDATION_K,))
    figures = {name: result.mean(metric, VALIDATION_K) for name, metric in RANKED.items()}
    if math.isnan(result.rmse):
        return figures
    return {**figures, RMSE: result.rmse, "coverage": result.prediction_coverage}


def validation_units(model: Scorer, train: Ratings, validation: Ratings, metric: str) -> Units:
    """One of these metrics user by user: users with a relevant row each count once, squared errors by their rows.

    Raises `ModelError` for a metric that is none of users, or that the model does not have.
    """
    if metric not in UNIT_METRICS:
        raise ModelError(f"{metric} is no figure of single users: {', '.join(UNIT_METRICS)} are")
    result = evaluate_ranking(model, train, validation, ks=(VALIDATION_K,))
    if metric != RMSE:
        values = result.values[:, result.columns.index((RANKED[metric], VALIDATION_K))]
        defined = ~np.isnan(values)
        return Units(result.users[defined].astype(np.int64), values[defined], np.ones(defined.sum()))
    if not len(result.errors):
        raise ModelError(f"{type(model).__name__} predicts no values, so it has no {RMSE}")
    users, at = np.unique(result.error_users, return_inverse=True)
    return Units(users.astype(np.int64), np.bincount(at, result.errors**2), np.bincount(at).astype(np.float64))
