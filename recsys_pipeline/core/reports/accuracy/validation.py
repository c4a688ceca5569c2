"""The few figures that a sweep is steered by."""

import math

from recsys_pipeline.core.models import Scorer
from recsys_pipeline.core.reports.accuracy.ranking import evaluate_ranking
from recsys_pipeline.core.types import Ratings

VALIDATION_K = 10


def validation_metrics(model: Scorer, train: Ratings, validation: Ratings) -> dict[str, float]:
    """`ndcg@10` and `recall@10` over all unseen items, and `rmse` where the model predicts values."""
    result = evaluate_ranking(model, train, validation, ks=(VALIDATION_K,))
    figures = {f"{metric}@{VALIDATION_K}": result.mean(metric, VALIDATION_K) for metric in ("ndcg", "recall")}
    return figures if math.isnan(result.rmse) else {**figures, "rmse": result.rmse}
