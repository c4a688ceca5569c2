"""The few figures that a sweep is steered by."""

import math

from recsys_pipeline.core.models import Scorer
from recsys_pipeline.core.reports.accuracy.ranking import evaluate_ranking
from recsys_pipeline.core.types import Ratings

VALIDATION_K = 10


def validation_metrics(model: Scorer, train: Ratings, validation: Ratings) -> dict[str, float]:
    """`ndcg@10` and `recall@10` over all unseen items; where the model predicts values `rmse` over all validation rows,
    and `coverage`, the share of them whose user and item it has learned of."""
    result = evaluate_ranking(model, train, validation, ks=(VALIDATION_K,))
    figures = {f"{metric}@{VALIDATION_K}": result.mean(metric, VALIDATION_K) for metric in ("ndcg", "recall")}
    if math.isnan(result.rmse):
        return figures
    return {**figures, "rmse": result.rmse, "coverage": result.prediction_coverage}
