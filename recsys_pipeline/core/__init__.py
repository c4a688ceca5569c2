"""The core as a library: what a notebook needs by one import, with no Dagster, no W&B and no environment in sight.

>>> from recsys_pipeline.core import Ratings, discover
>>> sorted(discover())[:3]
['als', 'bayesian_mf', 'cooccurrence']

A name is loaded when it is first asked for, so that `Window` does not cost JAX.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recsys_pipeline.core.dataset.simulator import SIZES, Simulator
    from recsys_pipeline.core.dataset.snapshots import Snapshot
    from recsys_pipeline.core.dataset.sources import Source
    from recsys_pipeline.core.errors import ArtifactError, DataError, ModelError, RecsysError, SettingError
    from recsys_pipeline.core.folds import Fold, Split, divide
    from recsys_pipeline.core.folds.k_fold import k_fold
    from recsys_pipeline.core.folds.leave_last_out import leave_last_out
    from recsys_pipeline.core.folds.prequential import prequential
    from recsys_pipeline.core.models import ModelSpec, discover
    from recsys_pipeline.core.neighbors.index import SearchIndex, build_index
    from recsys_pipeline.core.neighbors.vectors import VectorTable
    from recsys_pipeline.core.ratings import Ratings
    from recsys_pipeline.core.recommenders import Recommender, VectorRecommender
    from recsys_pipeline.core.reports.accuracy.metrics import ranking_metric
    from recsys_pipeline.core.reports.accuracy.ranking import evaluate_ranking
    from recsys_pipeline.core.reports.accuracy.resampling import best_against_others, ranking_estimates
    from recsys_pipeline.core.serving.recommend import recommend
    from recsys_pipeline.core.serving.release import Release
    from recsys_pipeline.core.time import Window

_PLACES = {
    "SIZES": "dataset.simulator",
    "Simulator": "dataset.simulator",
    "Snapshot": "dataset.snapshots",
    "Source": "dataset.sources",
    "ArtifactError": "errors",
    "DataError": "errors",
    "ModelError": "errors",
    "RecsysError": "errors",
    "SettingError": "errors",
    "Fold": "folds",
    "Split": "folds",
    "divide": "folds",
    "k_fold": "folds.k_fold",
    "leave_last_out": "folds.leave_last_out",
    "prequential": "folds.prequential",
    "ModelSpec": "models",
    "discover": "models",
    "SearchIndex": "neighbors.index",
    "build_index": "neighbors.index",
    "VectorTable": "neighbors.vectors",
    "Ratings": "ratings",
    "Recommender": "recommenders",
    "VectorRecommender": "recommenders",
    "ranking_metric": "reports.accuracy.metrics",
    "evaluate_ranking": "reports.accuracy.ranking",
    "best_against_others": "reports.accuracy.resampling",
    "ranking_estimates": "reports.accuracy.resampling",
    "recommend": "serving.recommend",
    "Release": "serving.release",
    "Window": "time",
}
"""In which module of the core each public name stands."""

__all__ = [
    "SIZES", "ArtifactError", "DataError", "Fold", "ModelError", "ModelSpec", "Ratings", "Recommender", "RecsysError",
    "Release", "SearchIndex", "SettingError", "Simulator", "Snapshot", "Source", "Split", "VectorRecommender",
    "VectorTable", "Window", "best_against_others", "build_index", "discover", "divide", "evaluate_ranking", "k_fold",
    "leave_last_out", "prequential", "ranking_estimates", "ranking_metric", "recommend",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"{__name__} has no {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
